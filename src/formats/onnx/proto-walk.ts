import { FormatSyntaxError } from '../formats.errors';
import { type FieldKind, type ProtoSchema, ProtoTree } from './proto-tree';

/** Messages within each other; a graph in a graph takes four. */
const MAX_DEPTH = 100;
/** A name; what has more is no name. */
const MAX_TEXT_BYTES = 64 * 1024;
const MAX_VARINT_BYTES = 10;
const MAX_TAG = 0xffff_ffff;
/** Groups of seven bits that a double holds exactly. */
const EXACT_BYTES = 7;

/** What the descriptions of all files of one upload may take of the memory, in values and in bytes. */
export class WalkAllowance {
  constructor(
    private values = 1_000_000,
    private textBytes = 32 * 1024 * 1024,
    private fields = 100_000_000,
  ) {}

  /** Counts fields that are passed over: they take no memory, but time. */
  pass(count: number): void {
    this.fields -= count;
    if (this.fields < 0) throw new FormatSyntaxError('it has more fields than any model');
  }

  /** @throws FormatSyntaxError when it is used up */
  take(textBytes: number): void {
    this.values--;
    this.textBytes -= textBytes;
    if (this.values < 0 || this.textBytes < 0) {
      throw new FormatSyntaxError('it has more nodes and names than any model');
    }
  }
}

interface Message {
  readonly tree: ProtoTree;
  readonly fields: Readonly<Record<number, FieldKind>>;
  readonly single: readonly number[];
  /** Where it ends, in bytes of the file. */
  readonly end: number;
}

/** What the bytes that come next are. */
type Expected =
  | { readonly kind: 'tag' }
  | { readonly kind: 'int'; readonly field: number }
  | { readonly kind: 'length'; readonly field: number }
  | { readonly kind: 'skip'; readonly end: number }
  | { readonly kind: 'text'; readonly field: number; readonly bytes: Uint8Array; filled: number }
  | { readonly kind: 'count'; readonly field: number; readonly end: number; count: number }
  | { readonly kind: 'packed'; readonly field: number; readonly end: number };

const TAG: Expected = { kind: 'tag' };
const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads a protobuf message while it streams by, in pieces cut anywhere.
 *
 * Keeps what its schema names; everything else, and above all the numbers of weights, is passed
 * over without being held. Nothing recurses, no length is believed before its bytes are there, and
 * depth, values and texts are limited.
 */
export class ProtoWalk {
  readonly root = new ProtoTree();
  private readonly open: Message[];
  private expected: Expected = TAG;
  /** The bytes of a number that is not complete yet. */
  private readonly digits: number[] = [];
  private at = 0;

  constructor(
    schema: ProtoSchema,
    private readonly allowance: WalkAllowance,
  ) {
    this.open = [messageOf(schema, this.root, Infinity)];
  }

  /** @throws FormatSyntaxError where the bytes are no such message, or go beyond a limit */
  push(piece: Uint8Array): void {
    for (let from = 0; from < piece.length;) {
      const taken = this.leap(piece, from) || this.take(piece.subarray(from));
      from += taken;
      this.at += taken;
      this.settle();
    }
  }

  /** @throws FormatSyntaxError when the bytes ended in the middle */
  finish(): ProtoTree {
    if (this.expected.kind !== 'tag' || this.digits.length > 0 || this.open.length > 1) {
      throw new FormatSyntaxError(`it ends in the middle, after ${this.at} bytes`);
    }
    return this.root;
  }

  /**
   * Passes over numbers that nobody asked for and that lie whole in the piece: a tree has millions
   * of them, and one by one they would keep everybody else waiting.
   */
  private leap(piece: Uint8Array, from: number): number {
    if (this.expected !== TAG || this.digits.length > 0) return 0;
    const { fields, end } = this.message;
    const limit = Math.min(piece.length, from + end - this.at);
    let at = from;
    let passed = 0;
    for (;;) {
      const next = endOfNumber(piece, at, fields);
      if (next > limit) break;
      at = next;
      passed++;
    }
    this.allowance.pass(passed);
    return at - from;
  }

  /** Takes what belongs to the value under way; at least one byte. */
  private take(piece: Uint8Array): number {
    const { expected } = this;
    switch (expected.kind) {
      case 'skip':
        return Math.min(piece.length, expected.end - this.at);
      case 'count': {
        const part = piece.subarray(0, expected.end - this.at);
        for (const byte of part) if (byte < 0x80) expected.count++;
        return part.length;
      }
      case 'text': {
        const part = piece.subarray(0, expected.bytes.length - expected.filled);
        expected.bytes.set(part, expected.filled);
        expected.filled += part.length;
        return part.length;
      }
      case 'tag':
      case 'int':
      case 'length':
      case 'packed':
        return this.takeNumber(piece[0] ?? 0);
    }
  }

  private takeNumber(byte: number): number {
    this.digits.push(byte);
    if (byte < 0x80) {
      const value = this.digits.length === 1 ? byte : toNumber(this.digits);
      this.digits.length = 0;
      // The byte is counted by the caller, afterwards.
      this.at++;
      this.use(value);
      this.at--;
    } else if (this.digits.length === MAX_VARINT_BYTES) {
      throw new FormatSyntaxError('a number has no end');
    }
    return 1;
  }

  private use(value: number): void {
    const { expected, message } = this;
    if (this.at > message.end) throw tooLong();
    switch (expected.kind) {
      case 'tag':
        this.expected = this.afterTag(value);
        break;
      case 'int':
        this.keep(expected.field, value);
        this.expected = TAG;
        break;
      case 'packed':
        if (this.at > expected.end) throw tooLong();
        this.keep(expected.field, value);
        break;
      case 'length':
        this.begin(expected.field, value);
        break;
      case 'skip':
      case 'text':
      case 'count':
        // These are no numbers.
        break;
    }
  }

  private afterTag(tag: number): Expected {
    this.allowance.pass(1);
    const field = Math.floor(tag / 8);
    if (field < 1 || tag > MAX_TAG) throw new FormatSyntaxError('a field has an impossible number');
    switch (tag % 8) {
      case 0:
        return { kind: 'int', field };
      case 1:
        return this.fixed(field, 8);
      case 2:
        return { kind: 'length', field };
      case 5:
        return this.fixed(field, 4);
      default:
        throw new FormatSyntaxError('a field is of a kind that is not in use');
    }
  }

  private fixed(field: number, bytes: number): Expected {
    if (this.message.fields[field] === 'bytes') this.keep(field, bytes);
    return { kind: 'skip', end: this.within(bytes) };
  }

  /** Starts on a field whose length is known. */
  private begin(field: number, length: number): void {
    const end = this.within(length);
    const kind = this.message.fields[field];
    switch (kind) {
      case 'text':
        if (length > MAX_TEXT_BYTES) {
          throw new FormatSyntaxError(`a name is longer than ${MAX_TEXT_BYTES} bytes`);
        }
        // Shorter than a piece, mostly; and no more than was announced is ever held.
        this.expected = { kind: 'text', field, bytes: new Uint8Array(length), filled: 0 };
        break;
      case 'ints':
        this.expected = { kind: 'packed', field, end };
        break;
      case 'varints':
        this.expected = { kind: 'count', field, end, count: 0 };
        break;
      case 'bytes':
        this.keep(field, length);
        this.expected = { kind: 'skip', end };
        break;
      case 'items':
        this.keep(field, 1);
        this.expected = { kind: 'skip', end };
        break;
      case 'int':
      case undefined:
        this.expected = { kind: 'skip', end };
        break;
      default:
        this.enter(field, kind, end);
    }
  }

  private enter(field: number, schema: ProtoSchema, end: number): void {
    if (this.open.length >= MAX_DEPTH) {
      throw new FormatSyntaxError(`it is nested deeper than ${MAX_DEPTH} levels`);
    }
    const { tree, single } = this.message;
    if (single.includes(field) && tree.has(field)) {
      throw new FormatSyntaxError('a part that stands once stands there twice');
    }
    const child = new ProtoTree();
    this.keep(field, child);
    this.open.push(messageOf(schema, child, end));
    this.expected = TAG;
  }

  /** Finishes every value and every message that ends here. */
  private settle(): void {
    const { expected } = this;
    if (expected.kind === 'text' && expected.filled === expected.bytes.length) {
      this.keep(expected.field, toText(expected.bytes));
      this.expected = TAG;
    } else if ('end' in expected && expected.end === this.at) {
      if (this.digits.length > 0) throw new FormatSyntaxError('a number has no end');
      if (expected.kind === 'count') this.keep(expected.field, expected.count);
      this.expected = TAG;
    }
    while (this.expected === TAG && this.message.end === this.at && this.open.length > 1) {
      if (this.digits.length > 0) throw new FormatSyntaxError('a number has no end');
      this.open.pop();
    }
  }

  private keep(field: number, value: number | string | ProtoTree): void {
    const { fields, tree } = this.message;
    const kind = fields[field];
    if (kind === undefined) return;
    if (typeof value === 'number' && kind !== 'int' && kind !== 'ints') {
      // A number where something else belongs is passed over, as every reader does.
      if (kind === 'text' || typeof kind === 'object') return;
      // Numbers one by one, of a field of which only their count matters.
      const isOne = kind === 'varints' && this.expected.kind === 'int';
      if (!tree.tally(field, isOne ? 1 : value)) this.allowance.take(0);
      return;
    }
    this.allowance.take(typeof value === 'string' ? value.length : 0);
    tree.add(field, value);
  }

  private within(length: number): number {
    const end = this.at + length;
    if (length < 0 || end > this.message.end) throw tooLong();
    return end;
  }

  private get message(): Message {
    const innermost = this.open.at(-1);
    if (!innermost) throw new FormatSyntaxError('it has ended before');
    return innermost;
  }
}

function messageOf({ fields, single = [] }: ProtoSchema, tree: ProtoTree, end: number): Message {
  return { tree, fields: fields(), single, end };
}

/** Where the number ends that starts there; infinity for whatever has to be looked at. */
function endOfNumber(
  bytes: Uint8Array,
  start: number,
  fields: Readonly<Record<number, FieldKind>>,
): number {
  let at = start;
  let tag = bytes[at++] ?? 0xff;
  if (tag >= 0x80) {
    const high = bytes[at++] ?? 0xff;
    if (high >= 0x80) return Infinity;
    tag = (tag & 0x7f) + high * 128;
  }
  const field = tag >> 3;
  if (field === 0 || fields[field] !== undefined) return Infinity;
  switch (tag & 7) {
    case 0: {
      const last = at + MAX_VARINT_BYTES;
      while (at < last && (bytes[at] ?? 0) >= 0x80) at++;
      return at < last ? at + 1 : Infinity;
    }
    case 1:
      return at + 8;
    case 5:
      return at + 4;
    default:
      return Infinity;
  }
}

function tooLong(): FormatSyntaxError {
  return new FormatSyntaxError('a field is longer than the message it stands in');
}

/** Signed, as dimensions are; beyond 2^53 digits are lost, which no size that counts reaches. */
function toNumber(digits: readonly number[]): number {
  if (digits.length <= EXACT_BYTES) {
    return digits.reduce((sum, byte, place) => sum + (byte & 0x7f) * 128 ** place, 0);
  }
  const wide = digits.reduce(
    (sum, byte, place) => sum | (BigInt(byte & 0x7f) << BigInt(7 * place)),
    0n,
  );
  return Number(BigInt.asIntN(64, wide));
}

function toText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new FormatSyntaxError('a name is not UTF-8', {}, { cause });
  }
}
