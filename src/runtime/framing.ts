import { FramingError } from './runtime.errors';

/**
 * How a process and its executor talk: frames, one after the other, in both directions.
 *
 * ```
 * u32 header bytes | u32 payload bytes | header: UTF-8 JSON | payload        (little-endian)
 * ```
 */
export interface Frame {
  readonly header: unknown;
  /** Owns its memory and starts at its first byte, so typed arrays can be laid over it. */
  readonly payload: Uint8Array;
}

const PREFIX_BYTES = 8;
const MAX_HEADER_BYTES = 64 * 1024 * 1024;
const MAX_PAYLOAD_BYTES = 0xffff_ffff;
/** Copying less than this costs less than handing the pieces over one by one. */
const SMALL_PAYLOAD_BYTES = 64 * 1024;

/** The pieces of a frame in the order of writing: one if it is small, else the parts are not copied. */
export function encodeFrame(
  header: unknown,
  payload: readonly Uint8Array[] = [],
): readonly Uint8Array[] {
  const json = JSON.stringify(header);
  const headerBytes = Buffer.byteLength(json);
  const payloadBytes = payload.reduce((sum, part) => sum + part.byteLength, 0);
  if (headerBytes > MAX_HEADER_BYTES || payloadBytes > MAX_PAYLOAD_BYTES) {
    throw new FramingError('A message is too large for a frame', { headerBytes, payloadBytes });
  }
  const headBytes = PREFIX_BYTES + headerBytes;
  const isSmall = payloadBytes <= SMALL_PAYLOAD_BYTES;
  const head = Buffer.allocUnsafe(isSmall ? headBytes + payloadBytes : headBytes);
  head.writeUInt32LE(headerBytes, 0);
  head.writeUInt32LE(payloadBytes, 4);
  head.write(json, PREFIX_BYTES);
  if (!isSmall) return [head, ...payload];
  let at = headBytes;
  for (const part of payload) {
    head.set(part, at);
    at += part.byteLength;
  }
  return [head];
}

/**
 * Puts frames together from pieces cut anywhere.
 *
 * Every byte of a payload is copied once, to where it stays: its buffer has its size from the
 * start. A header is read where it lies, unless a cut goes through its frame.
 */
export class FrameDecoder {
  private readonly prefix = Buffer.alloc(PREFIX_BYTES);
  private header: Buffer | undefined;
  private payload = new Uint8Array(0);
  private filled = 0;

  /**
   * Takes the next piece and yields the frames that it completes.
   *
   * @throws FramingError when the bytes are no frames; nothing after that can be understood
   */
  *push({ buffer, byteOffset, byteLength }: Uint8Array): Generator<Frame> {
    const piece = Buffer.from(buffer, byteOffset, byteLength);
    for (let at = 0; at < piece.length;) {
      const end = this.filled === 0 ? endOfFrame(piece, at) : Infinity;
      if (end <= piece.length) {
        const body = at + PREFIX_BYTES + piece.readUInt32LE(at);
        // A new array: a slice of a Buffer would be a view of the piece.
        const payload = new Uint8Array(end - body);
        payload.set(piece.subarray(body, end));
        yield toFrame(piece.subarray(at + PREFIX_BYTES, body), payload);
        at = end;
        continue;
      }
      const target = this.target();
      const take = Math.min(target.bytes.length - target.filled, piece.length - at);
      target.bytes.set(piece.subarray(at, at + take), target.filled);
      this.filled += take;
      at += take;
      if (this.header === undefined && this.filled === PREFIX_BYTES) this.begin();
      if (this.header && this.filled === this.frameBytes()) yield this.finish(this.header);
    }
  }

  private target(): { bytes: Uint8Array; filled: number } {
    if (!this.header) return { bytes: this.prefix, filled: this.filled };
    const inHeader = this.filled - PREFIX_BYTES;
    return inHeader < this.header.length
      ? { bytes: this.header, filled: inHeader }
      : { bytes: this.payload, filled: inHeader - this.header.length };
  }

  private frameBytes(): number {
    return PREFIX_BYTES + (this.header?.length ?? 0) + this.payload.length;
  }

  private begin(): void {
    this.header = Buffer.alloc(headerBytesAt(this.prefix, 0));
    this.payload = new Uint8Array(this.prefix.readUInt32LE(4));
  }

  private finish(header: Buffer): Frame {
    const { payload } = this;
    this.header = undefined;
    this.payload = new Uint8Array(0);
    this.filled = 0;
    return toFrame(header, payload);
  }
}

function headerBytesAt(bytes: Buffer, at: number): number {
  const headerBytes = bytes.readUInt32LE(at);
  if (headerBytes === 0 || headerBytes > MAX_HEADER_BYTES) {
    throw new FramingError('A frame has an impossible header length', { headerBytes });
  }
  return headerBytes;
}

/** Where the frame ends that starts there; infinity while not even its lengths are there. */
function endOfFrame(bytes: Buffer, at: number): number {
  if (bytes.length - at < PREFIX_BYTES) return Infinity;
  return at + PREFIX_BYTES + headerBytesAt(bytes, at) + bytes.readUInt32LE(at + 4);
}

function toFrame(header: Buffer, payload: Uint8Array): Frame {
  try {
    return { header: JSON.parse(header.toString('utf8')) as unknown, payload };
  } catch (cause) {
    throw new FramingError('A frame has a header that is not JSON', {}, { cause });
  }
}
