import { NUMBER_LISTS_WASM } from './number-lists.wasm';

/** What is used of an API whose types come with the ones of browsers only. */
declare const WebAssembly: {
  readonly Module: new (binary: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

interface KernelExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): void };
  /** Where the text behind the lists begins. */
  readonly stop: { readonly value: number };
  readonly read: (at: number, out: number, rank: number) => number;
}

/** Lists that were read. */
export interface NumberLists {
  /** Sizes of the lists, the outermost first. */
  readonly shape: readonly number[];
  /** float32, little-endian, row by row. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** Where the text behind them begins. */
  readonly end: number;
}

/** Where the kernel looks for things; the powers of five are at the start. */
const POWERS_OF_TEN = 2304;
const SIZES = 2560;
const TEXT = 4096;

const MAX_RANK = 16;
const PAGE_BYTES = 64 * 1024;

/** Memory for larger texts is not kept: it never shrinks. */
const KEPT_TEXT_BYTES = 512 * 1024;

const MIN_POWER = -90;
const MAX_POWER = 40;
const MAX_EXACT_POWER = 22;

let compiled: object | undefined;
let kept: KernelExports | undefined;

/**
 * Reads lists within lists of JSON numbers as float32, several times as fast as objects are made of
 * them: what stands in the text from `at` on, `shape.length` lists deep, of the sizes of `shape`,
 * where -1 takes whatever size comes first.
 *
 * Numbers come out as `Math.fround(JSON.parse(…))` would give them.
 *
 * @returns null for everything but plain numbers in lists of those sizes, sound or not: other values,
 * empty lists, numbers beyond float32, with more than 19 digits or with exponents out of the ordinary;
 * and where there is no memory for the kernel
 */
export function readNumberLists(
  text: Uint8Array,
  at: number,
  shape: readonly number[],
): NumberLists | null {
  if (shape.length === 0 || shape.length > MAX_RANK || shape.some((size) => size === 0)) {
    return null;
  }
  const room = makeRoom(text.length);
  if (!room) return null;
  const { kernel, out } = room;
  const { buffer } = kernel.memory;
  const bytes = new Uint8Array(buffer);
  bytes.set(text, TEXT);
  // No text of an earlier call behind the end of this one.
  bytes[TEXT + text.length] = 0;
  const sizes = new Int32Array(buffer, SIZES, shape.length);
  for (let level = 0; level < shape.length; level++) sizes[level] = Math.max(shape[level] ?? 0, 0);

  if (kernel.read(TEXT + at, out, shape.length) < 0) return null;
  const found = Array.from(sizes);
  const values = found.reduce((product, size) => product * size, 1);
  return {
    shape: found,
    data: bytes.slice(out, out + 4 * values),
    end: kernel.stop.value - TEXT,
  };
}

/** A kernel, and where its numbers go: behind the text, which has two bytes or more for each. */
interface Room {
  readonly kernel: KernelExports;
  readonly out: number;
}

/** @returns null where the system grants no memory, or no addresses (`ulimit -v`), for a kernel */
function makeRoom(textBytes: number): Room | null {
  const out = (TEXT + textBytes + 16) & ~15;
  try {
    const kernel = textBytes > KEPT_TEXT_BYTES ? openKernel() : (kept ??= openKernel());
    const missing = out + 2 * textBytes + 16 - kernel.memory.buffer.byteLength;
    if (missing > 0) kernel.memory.grow(Math.ceil(missing / PAGE_BYTES));
    return { kernel, out };
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function openKernel(): KernelExports {
  compiled ??= new WebAssembly.Module(Buffer.from(NUMBER_LISTS_WASM, 'base64'));
  const kernel = new WebAssembly.Instance(compiled).exports as KernelExports;
  const words = new BigUint64Array(kernel.memory.buffer, 0, 2 * (MAX_POWER - MIN_POWER + 1));
  for (let power = MIN_POWER; power <= MAX_POWER; power++) {
    const bits = powerOfFive(power);
    words[2 * (power - MIN_POWER)] = BigInt.asUintN(64, bits);
    words[2 * (power - MIN_POWER) + 1] = bits >> 64n;
  }
  const tens = new Float64Array(kernel.memory.buffer, POWERS_OF_TEN, MAX_EXACT_POWER + 1);
  tens.forEach((_, power) => (tens[power] = Number(10n ** BigInt(power))));
  return kernel;
}

/**
 * A power of five as 128 bits, the uppermost set: rounded down, its reciprocal below zero rounded up.
 * From 10^-28 on down the reciprocal comes from twice as many bits, cut off; Lemire 2021 shows that
 * these are the values with which the kernel never errs.
 */
function powerOfFive(power: number): bigint {
  const five = 5n ** BigInt(Math.abs(power));
  const width = BigInt(five.toString(2).length);
  if (power >= 0) return width <= 128n ? five << (128n - width) : five >> (width - 128n);
  if (power >= -27) return (1n << (width + 127n)) / five + 1n;
  const precise = (1n << (2n * width + 128n)) / five + 1n;
  return precise >> BigInt(precise.toString(2).length - 128);
}
