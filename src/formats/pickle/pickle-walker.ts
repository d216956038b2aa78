import {
  aDict,
  anObject,
  aTuple,
  inlineArray,
  type PickleGlobal,
  type PickleValue,
  setEntries,
} from './pickle-values';
import { readQuotedText, readUnicodeLine } from './pickle-text';

/** Longest text that is kept: names are short, and nothing else of a pickle is of interest. */
const MAX_TEXT_BYTES = 512;
/** Longest line of the text protocols that is kept until its end. */
const MAX_LINE_BYTES = 64 * 1024;
/** What is read of a line: each character of a name can take ten when it is escaped. */
const MAX_LINE_READ = 10 * MAX_TEXT_BYTES;
const MAX_STACK = 1_000_000;
const MAX_MEMO = 200_000;
const MAX_GLOBALS = 1_000;
/** Instructions followed; beyond, the walk ends. Some seconds of work, spread over the upload. */
const MAX_STEPS = 50_000_000;
/** Pickles in one file, one after the other, as older PyTorch files have them. */
const MAX_PICKLES = 64;
const MAX_NESTING = 8;

/** What a walk through a pickle found. */
export interface PickleFindings {
  readonly globals: readonly PickleGlobal[];
  readonly protocol: number;
  /** What kept the walk from seeing all there is, in words. */
  readonly incomplete: string | null;
  /** Why this is no sound pickle, in words. */
  readonly damage: string | null;
  /** Whether an end was reached and nothing came behind it. */
  readonly endsCleanly: boolean;
  readonly steps: number;
  /** Whether something that it imports, or that could not be made out, would be called. */
  readonly calls: boolean;
  /** Whether an instruction of it is one that no text holds. */
  readonly isBinary: boolean;
}

/** One pickle under way: joblib puts pickles of arrays of objects inside others. */
interface Frame {
  readonly stack: PickleValue[];
  readonly marks: number[];
  readonly memo: Map<number, PickleValue>;
  memoized: number;
  puts: boolean;
}

/** An instruction whose bytes have not all come yet. */
const MORE = Symbol('more');
const decoder = new TextDecoder();

/**
 * Follows the instructions of a pickle (protocols 0 to 5) while it streams by, and never does what
 * they say: nothing is imported, called or built.
 *
 * Names of what would be imported may come from anywhere on the stack or in the memo, so these two
 * are modelled, holding texts, small numbers and what describes an array. All of it is bounded;
 * where a bound or something odd ends the view, the findings say so.
 */
export class PickleWalker {
  private readonly globals = new Map<string, PickleGlobal>();
  private readonly frames: Frame[] = [newFrame()];
  private pending: Uint8Array = new Uint8Array(0);
  private at = 0;
  private skip = 0;
  private steps = 0;
  private pickles = 0;
  private protocol = 0;
  private incomplete: string | null = null;
  private damage: string | null = null;
  private state: 'walking' | 'padding' | 'skipping-line' | 'between' | 'over' = 'walking';
  private cleanEnd = false;
  private calls = false;
  private isBinary = false;
  private afterPadding = 0;

  get isOver(): boolean {
    return this.state === 'over';
  }

  push(piece: Uint8Array): void {
    if (this.state === 'over') {
      if (piece.length > 0) this.cleanEnd = false;
      return;
    }
    if (this.skip >= piece.length && this.pending.length === 0) {
      this.skip -= piece.length;
      return;
    }
    this.pending = this.pending.length > 0 ? Buffer.concat([this.pending, piece]) : piece;
    this.at = 0;
    this.advance();
    // A copy: the piece belongs to whoever gave it.
    this.pending = Uint8Array.from(this.pending.subarray(this.at));
  }

  finish(): PickleFindings {
    if (this.state !== 'over' && this.state !== 'between') {
      this.damage ??= 'it ends in the middle of an instruction';
    }
    const { globals, protocol, incomplete, damage, steps, calls, isBinary } = this;
    const endsCleanly =
      damage === null && (this.state === 'between' ? this.pickles > 0 : this.cleanEnd);
    return {
      globals: [...globals.values()],
      protocol,
      incomplete,
      damage,
      steps,
      endsCleanly,
      calls,
      isBinary,
    };
  }

  private advance(): void {
    const bytes = this.pending;
    while (this.at < bytes.length && this.state !== 'over') {
      if (this.skip > 0) {
        const step = Math.min(this.skip, bytes.length - this.at);
        this.skip -= step;
        this.at += step;
        continue;
      }
      if (this.state === 'padding') {
        this.skip = (bytes[this.at++] ?? 0) + this.afterPadding;
        this.state = 'walking';
      } else if (this.state === 'skipping-line') {
        if (bytes[this.at++] === 0x0a) this.state = 'walking';
      } else if (this.state === 'between') {
        this.enterNext(bytes[this.at] ?? 0);
      } else {
        const start = this.at;
        if (this.step() === MORE) {
          this.at = start;
          this.steps--;
          return;
        }
      }
    }
  }

  /** Behind the end of a pickle: another one, or something else, which is none of ours. */
  private enterNext(first: number): void {
    if (first === 0x80 && this.pickles < MAX_PICKLES) {
      this.frames.splice(0, this.frames.length, newFrame());
      this.state = 'walking';
      return;
    }
    if (first === 0x80) this.incomplete ??= `more than ${MAX_PICKLES} pickles stand in the file`;
    this.state = 'over';
    this.cleanEnd = false;
  }

  private step(): typeof MORE | undefined {
    if (++this.steps > MAX_STEPS) {
      this.incomplete ??= `only its first ${MAX_STEPS} instructions were followed`;
      this.state = 'over';
      return undefined;
    }
    const opcode = this.pending[this.at++] ?? 0;
    if (opcode >= 0x80) this.isBinary = true;
    const frame = this.frame();
    const stack = frame.stack;
    switch (opcode) {
      case 0x80: // PROTO
        return this.fixed(1, (view) => {
          const protocol = view.getUint8(0);
          if (protocol > 5) this.fail(`it is of protocol ${protocol}; 0 to 5 are known`);
          this.protocol = Math.max(this.protocol, protocol);
        });
      case 0x95: // FRAME: only groups what follows.
        return this.fixed(8, () => undefined);
      case 0x2e: // STOP
        this.stop();
        return undefined;
      case 0x28: // MARK
        frame.marks.push(stack.length);
        if (frame.marks.length > MAX_STACK) this.giveUp('its stack grows too high');
        return undefined;
      case 0x30: // POP
        if (frame.marks.at(-1) === stack.length) frame.marks.pop();
        else this.pop();
        return undefined;
      case 0x31: // POP_MARK
        this.popToMark();
        return undefined;
      case 0x32: // DUP
        this.keep(stack.at(-1) ?? null);
        return undefined;

      case 0x4e: // NONE
      case 0x88: // NEWTRUE
      case 0x89: // NEWFALSE
      case 0x5d: // EMPTY_LIST
      case 0x8f: // EMPTY_SET
      case 0x97: // NEXT_BUFFER
        this.keep(null);
        return undefined;
      case 0x98: // READONLY_BUFFER
        return undefined;
      case 0x29: // EMPTY_TUPLE
        this.keep(aTuple([]));
        return undefined;
      case 0x7d: // EMPTY_DICT
        this.keep(aDict());
        return undefined;
      case 0x49: // INT
      case 0x4c: // LONG
        return this.line((text) => {
          if (!/^-?\d+L?$/.test(text)) this.fail('a number in it is none');
          this.keep(Number.parseInt(text, 10));
        });
      case 0x46: // FLOAT
        return this.line((text) => {
          if (!/^[-+\w.]+$/.test(text)) this.fail('a number in it is none');
          this.keep(null);
        });
      case 0x4a: // BININT
        return this.fixed(4, (view) => {
          this.keep(view.getInt32(0, true));
        });
      case 0x4b: // BININT1
        return this.fixed(1, (view) => {
          this.keep(view.getUint8(0));
        });
      case 0x4d: // BININT2
        return this.fixed(2, (view) => {
          this.keep(view.getUint16(0, true));
        });
      case 0x8a: // LONG1
        return this.counted(1, 'number');
      case 0x8b: // LONG4
        return this.counted(4, 'number');
      case 0x47: // BINFLOAT
        return this.fixed(8, () => {
          this.keep(null);
        });

      case 0x53: // STRING
        return this.line((text) => {
          if (!/^(['"]).*\1$/s.test(text)) this.fail('a text in it has no quotes');
          this.keep(readQuotedText(text.slice(1, -1)));
        });
      case 0x56: // UNICODE
        return this.lines(1, (_, [line]) => {
          this.keep(readUnicodeLine(line ?? new Uint8Array(0)));
        });
      case 0x54: // BINSTRING
      case 0x58: // BINUNICODE
        return this.counted(4, 'text');
      case 0x55: // SHORT_BINSTRING
      case 0x8c: // SHORT_BINUNICODE
        return this.counted(1, 'text');
      case 0x8d: // BINUNICODE8
        return this.counted(8, 'text');
      case 0x42: // BINBYTES
        return this.counted(4, 'bytes');
      case 0x43: // SHORT_BINBYTES
        return this.counted(1, 'bytes');
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.counted(8, 'bytes');

      case 0x74: // TUPLE
        this.keep(aTuple(this.popToMark()));
        return undefined;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        this.keep(aTuple(this.popMany(opcode - 0x84)));
        return undefined;
      case 0x6c: // LIST
      case 0x91: // FROZENSET
        this.popToMark();
        this.keep(null);
        return undefined;
      case 0x64: {
        // DICT
        const dict = aDict();
        setEntries(dict, this.popToMark());
        this.keep(dict);
        return undefined;
      }
      case 0x61: // APPEND
        this.pop();
        return undefined;
      case 0x65: // APPENDS
      case 0x90: // ADDITEMS
        this.popToMark();
        return undefined;
      case 0x73: {
        // SETITEM
        const pair = this.popMany(2);
        setEntries(stack.at(-1) ?? null, pair);
        return undefined;
      }
      case 0x75: {
        // SETITEMS
        const pairs = this.popToMark();
        setEntries(stack.at(-1) ?? null, pairs);
        return undefined;
      }

      case 0x67: // GET
        return this.line((text) => {
          this.recall(Number.parseInt(text, 10));
        });
      case 0x68: // BINGET
        return this.fixed(1, (view) => {
          this.recall(view.getUint8(0));
        });
      case 0x6a: // LONG_BINGET
        return this.fixed(4, (view) => {
          this.recall(view.getUint32(0, true));
        });
      case 0x70: // PUT
        return this.line((text) => {
          this.put(Number.parseInt(text, 10));
        });
      case 0x71: // BINPUT
        return this.fixed(1, (view) => {
          this.put(view.getUint8(0));
        });
      case 0x72: // LONG_BINPUT
        return this.fixed(4, (view) => {
          this.put(view.getUint32(0, true));
        });
      case 0x94: // MEMOIZE
        this.memoize();
        return undefined;

      case 0x63: // GLOBAL
        return this.lines(2, ([module = '', name = '']) => {
          this.keep(this.foundGlobal(module, name));
        });
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.popMany(2);
        if (typeof module === 'string' && typeof name === 'string') {
          this.keep(this.foundGlobal(module, name));
        } else {
          this.incomplete ??= 'it imports something whose name could not be made out';
          this.keep(null);
        }
        return undefined;
      }
      case 0x69: // INST
        return this.lines(2, ([module = '', name = '']) => {
          const args = this.popToMark();
          this.call(this.foundGlobal(module, name), aTuple(args));
        });
      case 0x6f: {
        // OBJ
        const [type = null, ...args] = this.popToMark();
        this.call(type, aTuple(args));
        return undefined;
      }
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const [type = null, args = null] = this.popMany(2);
        this.call(type, args);
        return undefined;
      }
      case 0x92: {
        // NEWOBJ_EX
        const [type = null, args = null] = this.popMany(3);
        this.call(type, args);
        return undefined;
      }
      case 0x62: // BUILD
        this.build();
        return undefined;
      case 0x50: // PERSID
        return this.line(() => {
          this.keep(null);
        });
      case 0x51: // BINPERSID
        this.pop();
        this.keep(null);
        return undefined;
      case 0x82: // EXT1
      case 0x83: // EXT2
      case 0x84: {
        // EXT4
        const length = opcode === 0x84 ? 4 : opcode - 0x81;
        return this.fixed(length, () => {
          this.incomplete ??=
            'it imports something by a registered number, whose name is not in it';
          this.keep(null);
        });
      }
      default:
        this.fail(`the byte 0x${opcode.toString(16).padStart(2, '0')} is no instruction`);
        return undefined;
    }
  }

  private frame(): Frame {
    return this.frames[this.frames.length - 1] ?? newFrame();
  }

  private stop(): void {
    const { stack, marks } = this.frame();
    if (stack.length !== 1 || marks.length > 0) {
      this.fail(stack.length === 0 ? 'it ends with nothing built' : 'it ends with parts left over');
      return;
    }
    if (this.frames.length > 1) {
      this.frames.pop();
      return;
    }
    this.pickles++;
    this.state = 'between';
    this.cleanEnd = true;
  }

  private build(): void {
    const [target = null, state = null] = this.popMany(2);
    this.keep(target);
    const array = inlineArray(target, state);
    if (array === null) return;
    if (array === 'unclear') {
      this.giveUp('an array in it has a size that could not be made out');
    } else if (!array.isPickled) {
      if (array.isPadded) {
        this.state = 'padding';
        this.afterPadding = array.bytes;
      } else {
        this.skip = array.bytes;
      }
    } else if (this.frames.length >= MAX_NESTING) {
      this.giveUp('pickles in it are nested too deep');
    } else {
      this.frames.push(newFrame());
    }
  }

  private call(type: PickleValue, args: PickleValue): void {
    const isGlobal = typeof type === 'object' && type?.kind === 'global';
    // Of a stack that was shorter than the call takes, nothing was called.
    if (this.damage === null && (isGlobal || this.incomplete !== null)) this.calls = true;
    this.keep(anObject(type, args));
  }

  private foundGlobal(module: string, name: string): PickleGlobal {
    const global = { kind: 'global', module, name } as const;
    if (this.globals.size < MAX_GLOBALS) this.globals.set(`${module}\n${name}`, global);
    else this.incomplete ??= `it imports more than ${MAX_GLOBALS} names`;
    return global;
  }

  private keep(value: PickleValue): void {
    const { stack } = this.frame();
    if (stack.length >= MAX_STACK) this.giveUp('its stack grows too high');
    else stack.push(value);
  }

  private pop(): PickleValue {
    const { stack, marks } = this.frame();
    if (stack.length <= (marks.at(-1) ?? 0)) {
      this.fail('it takes more from its stack than there is');
      return null;
    }
    return stack.pop() ?? null;
  }

  private popMany(count: number): PickleValue[] {
    const values: PickleValue[] = [];
    for (let left = count; left > 0; left--) values.unshift(this.pop());
    return values;
  }

  private popToMark(): PickleValue[] {
    const { stack, marks } = this.frame();
    const mark = marks.pop();
    if (mark === undefined) {
      this.fail('it closes a group that was not opened');
      return [];
    }
    return stack.splice(mark);
  }

  private recall(index: number): void {
    const { memo, puts, memoized } = this.frame();
    if (!(index >= 0) || (!puts && index >= memoized)) {
      this.fail('it recalls something that it did not remember');
      return;
    }
    this.keep(memo.get(index) ?? null);
  }

  private put(index: number): void {
    const frame = this.frame();
    if (frame.memoized > 0) this.incomplete ??= MIXED_MEMO;
    frame.puts = true;
    this.remember(index);
  }

  private memoize(): void {
    const frame = this.frame();
    if (frame.puts) this.incomplete ??= MIXED_MEMO;
    this.remember(frame.memoized++);
  }

  private remember(index: number): void {
    const { stack, memo } = this.frame();
    const value = stack.at(-1);
    if (value === undefined || !(index >= 0)) {
      this.fail('it remembers something that is not there');
    } else if (value === null || typeof value === 'number') {
      memo.delete(index);
      if (typeof value === 'number') memo.set(index, value);
    } else if (memo.size < MAX_MEMO) {
      memo.set(index, value);
    } else {
      memo.delete(index);
      this.incomplete ??= `it remembers more than ${MAX_MEMO} things`;
    }
  }

  /** Reads an argument of so many bytes. */
  private fixed(length: number, read: (view: DataView) => void): typeof MORE | undefined {
    const { pending, at } = this;
    if (at + length > pending.length) return MORE;
    this.at = at + length;
    read(new DataView(pending.buffer, pending.byteOffset + at, length));
    return undefined;
  }

  /** Reads an argument behind its own length; what is too long to be a name is passed over. */
  private counted(
    lengthBytes: 1 | 4 | 8,
    content: 'text' | 'bytes' | 'number',
  ): typeof MORE | undefined {
    const { pending, at } = this;
    if (at + lengthBytes > pending.length) return MORE;
    const view = new DataView(pending.buffer, pending.byteOffset + at, lengthBytes);
    const length =
      lengthBytes === 1
        ? view.getUint8(0)
        : lengthBytes === 4
          ? view.getUint32(0, true)
          : Number(view.getBigUint64(0, true));
    const start = at + lengthBytes;
    if (!Number.isSafeInteger(length)) {
      this.fail('a length in it is larger than any file');
      return undefined;
    }
    if (content === 'bytes' || length > MAX_TEXT_BYTES) {
      this.at = start;
      this.skip = length;
      this.keep(null);
      return undefined;
    }
    if (start + length > pending.length) return MORE;
    this.at = start + length;
    const bytes = pending.subarray(start, this.at);
    this.keep(content === 'text' ? decoder.decode(bytes) : littleEndian(bytes));
    return undefined;
  }

  private line(read: (text: string) => void): typeof MORE | undefined {
    return this.lines(1, ([text = '']) => {
      read(text);
    });
  }

  private lines(
    count: number,
    read: (texts: string[], lines: Uint8Array[]) => void,
  ): typeof MORE | undefined {
    const lines: Uint8Array[] = [];
    let start = this.at;
    for (let index = 0; index < count; index++) {
      const end = this.pending.indexOf(0x0a, start);
      if (end < 0) {
        if (this.pending.length - start <= MAX_LINE_BYTES) return MORE;
        this.at = this.pending.length;
        this.state = 'skipping-line';
        if (count > 1) this.giveUp('a name in it is longer than any');
        this.keep(null);
        return undefined;
      }
      lines.push(this.pending.subarray(start, Math.min(end, start + MAX_LINE_READ)));
      start = end + 1;
    }
    this.at = start;
    read(
      lines.map((line) => decoder.decode(line)),
      lines,
    );
    return undefined;
  }

  private fail(why: string): void {
    this.damage ??= why;
    this.state = 'over';
  }

  private giveUp(why: string): void {
    this.incomplete ??= why;
    this.state = 'over';
  }
}

const MIXED_MEMO = 'it numbers what it remembers in two ways, as no writer does';

function newFrame(): Frame {
  return { stack: [], marks: [], memo: new Map(), memoized: 0, puts: false };
}

function littleEndian(bytes: Uint8Array): PickleValue {
  if (bytes.length > 6) return null;
  return bytes.reduce((sum, byte, index) => sum + byte * 256 ** index, 0);
}
