import { BYTE_PLANES_WASM } from './byte-planes.wasm';

/** Raw bytes of a block of planes at most: with everything staged, it still fits a core's cache. */
export const BLOCK_BYTES = 512 * 1024;

/** How bytes are read as numbers; those before and behind the whole items stay out. */
export interface PlaneLayout {
  readonly width: 2 | 4;
  /** Whether the sign goes to the bottom, so that the exponent fills a plane of its own. */
  readonly rotate: boolean;
  /** Bytes before the first item: numbers need not begin where a block does. */
  readonly phase: 0 | 1 | 2 | 3;
}

type Kernel = (
  items: number,
  base: number,
  planes: number,
  stride: number,
  count: number,
  rotate: number,
) => void;

/** What is used of an API whose types come with the ones of browsers only. */
declare const WebAssembly: {
  readonly Module: new (binary: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

interface KernelExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly split2: Kernel;
  readonly split4: Kernel;
  readonly join2: Kernel;
  readonly join4: Kernel;
  readonly xor: (items: number, base: number, count: number) => void;
}

const PAGE_BYTES = 64 * 1024;
const REGION_BYTES = BLOCK_BYTES + PAGE_BYTES;

/** Planes that begin at equal addresses modulo a page of the cache get into each other's way. */
const STRIDE_GAP_BYTES = 320;

/** Number of whole items, and so bytes of each plane. */
export function itemsOf(rawBytes: number, { width, phase }: PlaneLayout): number {
  return Math.max(0, Math.floor((rawBytes - phase) / width));
}

/**
 * Memory in which one block is taken apart or put together, with the SIMD kernel that does it.
 *
 * Callers copy into `items` and `base` or into the planes, call, and copy out; nothing is kept
 * from one block to the next. No function touches bytes outside the regions for any count that
 * stands for at most `BLOCK_BYTES`.
 */
export class PlaneStage {
  readonly items: Uint8Array;
  readonly base: Uint8Array;
  private readonly planes: Uint8Array;
  private readonly kernel: KernelExports;

  constructor() {
    const binary = Buffer.from(BYTE_PLANES_WASM, 'base64');
    const instance = new WebAssembly.Instance(new WebAssembly.Module(binary));
    this.kernel = instance.exports as KernelExports;
    const { buffer } = this.kernel.memory;
    this.items = new Uint8Array(buffer, 0, BLOCK_BYTES);
    this.base = new Uint8Array(buffer, REGION_BYTES, BLOCK_BYTES);
    this.planes = new Uint8Array(buffer, 2 * REGION_BYTES, REGION_BYTES);
  }

  /** The bytes of plane `index`, the lowest first, of `count` items. */
  plane(index: number, count: number): Uint8Array {
    const start = index * strideOf(count);
    return this.planes.subarray(start, start + count);
  }

  /** Items to planes; `withBase` takes the differences to the base apart. */
  split(count: number, { width, rotate }: PlaneLayout, withBase: boolean): void {
    const split = width === 2 ? this.kernel.split2 : this.kernel.split4;
    this.call(split, count, rotate, withBase);
  }

  /** Planes to items. */
  join(count: number, { width, rotate }: PlaneLayout, withBase: boolean): void {
    const join = width === 2 ? this.kernel.join2 : this.kernel.join4;
    this.call(join, count, rotate, withBase);
  }

  /** XORs the first bytes of `items` with those of `base`. */
  xor(bytes: number): void {
    this.kernel.xor(this.items.byteOffset, this.base.byteOffset, bytes);
  }

  private call(kernel: Kernel, count: number, rotate: boolean, withBase: boolean): void {
    kernel(
      this.items.byteOffset,
      withBase ? this.base.byteOffset : 0,
      this.planes.byteOffset,
      strideOf(count),
      count,
      rotate ? 1 : 0,
    );
  }
}

function strideOf(count: number): number {
  return Math.ceil(count / 16) * 16 + STRIDE_GAP_BYTES;
}

let stageOfThread: PlaneStage | undefined;

/** The stage of this thread; every thread has one of its own, as its memory is not shared. */
export function stage(): PlaneStage {
  stageOfThread ??= new PlaneStage();
  return stageOfThread;
}
