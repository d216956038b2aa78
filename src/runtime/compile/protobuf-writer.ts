import assert from 'node:assert';

/** Wire types of Protocol Buffers that a model needs. */
const VARINT = 0;
const DELIMITED = 2;
const FIXED32 = 5;

const text = new TextEncoder();

/** Bytes that are made only when they are written. */
export interface LateBytes {
  readonly byteLength: number;
  read(): Uint8Array;
}

/**
 * Writes one Protocol Buffers message, in the wire format of its encoding guide.
 *
 * Byte fields are kept as they are until `finish`, so weights are copied once, into the result, and
 * of those that have to be made first one is in memory at a time.
 */
export class ProtobufWriter {
  private readonly parts: (Uint8Array | LateBytes)[] = [];
  private size = 0;

  /** Whole numbers; negative ones take ten bytes, as int64 does. */
  int(field: number, value: number): this {
    return this.push(Uint8Array.from([...varint(key(field, VARINT)), ...varint(value)]));
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.push(Uint8Array.from([...varint(key(field, FIXED32)), ...bytes]));
  }

  string(field: number, value: string): this {
    return this.bytes(field, text.encode(value));
  }

  bytes(field: number, value: Uint8Array | LateBytes): this {
    return this.delimited(field, value.byteLength).push(value);
  }

  message(field: number, value: ProtobufWriter): this {
    this.delimited(field, value.size);
    for (const part of value.parts) this.push(part);
    return this;
  }

  finish(): Uint8Array {
    const bytes = new Uint8Array(this.size);
    let at = 0;
    for (const part of this.parts) {
      const written = part instanceof Uint8Array ? part : part.read();
      assert(written.byteLength === part.byteLength, 'a length that was written stands');
      bytes.set(written, at);
      at += part.byteLength;
    }
    return bytes;
  }

  private delimited(field: number, length: number): this {
    return this.push(Uint8Array.from([...varint(key(field, DELIMITED)), ...varint(length)]));
  }

  private push(part: Uint8Array | LateBytes): this {
    this.parts.push(part);
    this.size += part.byteLength;
    return this;
  }
}

function key(field: number, wireType: number): number {
  return field * 8 + wireType;
}

function varint(value: number): number[] {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}
