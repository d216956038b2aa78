import { FormatSyntaxError } from '../formats.errors';

/** One field of a message: a number, or the bytes of a text, a message or packed numbers. */
export interface ProtoField {
  readonly field: number;
  readonly number: number;
  readonly bytes: Uint8Array | null;
}

const MAX_TAG = 0xffff_ffff;

const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * The fields of a protobuf message in their order, without a copy of any of them.
 *
 * Fields that no schema here has (fixed-size numbers) are passed over. Nothing recurses: whoever knows the schema decides how deep to look. Numbers beyond 2^53
 * lose digits, which dimensions and type codes never reach.
 *
 * @throws FormatSyntaxError where the bytes are no message
 */
export function* protoFields(bytes: Uint8Array): Generator<ProtoField> {
  let at = 0;
  const varint = (): number => {
    let low = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      if (shift === 0n && byte < 0x80) return byte;
      low |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(BigInt.asIntN(64, low));
    }
    throw new FormatSyntaxError('a number has no end');
  };
  const take = (length: number): Uint8Array => {
    if (length < 0 || at + length > bytes.length) {
      throw new FormatSyntaxError('a field is longer than the message it stands in');
    }
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    if (field < 1) throw new FormatSyntaxError('a field has no number');
    // Readers that keep 32 bits of it would see another field than this one.
    if (tag > MAX_TAG) throw new FormatSyntaxError('a field has a number that is too large');
    switch (tag % 8) {
      case 0:
        yield { field, number: varint(), bytes: null };
        break;
      case 1:
        take(8);
        break;
      case 2:
        yield { field, number: NaN, bytes: take(varint()) };
        break;
      case 5:
        take(4);
        break;
      default:
        throw new FormatSyntaxError('a field is of a kind that is not in use');
    }
  }
}

/** The messages of a repeated field, or of one that stands once. */
export function messagesOf(bytes: Uint8Array, wanted: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const { field, bytes: value } of protoFields(bytes)) {
    if (field === wanted && value) found.push(value);
  }
  return found;
}

/**
 * The message of a field that stands once; empty when there is none. One that stands several times
 * counts as all of them merged, which is what their bytes in a row mean.
 */
export function messageOf(bytes: Uint8Array, wanted: number): Uint8Array {
  const [first, ...others] = messagesOf(bytes, wanted);
  if (!first) return new Uint8Array(0);
  return others.length === 0 ? first : Buffer.concat([first, ...others]);
}

/** The text of a field, or none; of several the last counts. */
export function textOf(bytes: Uint8Array, wanted: number): string {
  return toText(messagesOf(bytes, wanted).at(-1) ?? new Uint8Array(0));
}

export function textsOf(bytes: Uint8Array, wanted: number): string[] {
  return messagesOf(bytes, wanted).map(toText);
}

export function numberOf(bytes: Uint8Array, wanted: number): number {
  let found = 0;
  for (const { field, number, bytes: value } of protoFields(bytes)) {
    if (field === wanted && !value) found = number;
  }
  return found;
}

/** The entries of a map field: each is a message of a key and a value. */
export function mapOf(bytes: Uint8Array, wanted: number): Map<string, Uint8Array> {
  return new Map(
    messagesOf(bytes, wanted).map((entry) => [textOf(entry, 1), messageOf(entry, 2)] as const),
  );
}

/** @throws FormatSyntaxError */
export function toText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new FormatSyntaxError('a text is not UTF-8', {}, { cause });
  }
}
