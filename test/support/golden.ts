import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { type DType, elementCount, type NamedTensors, type Tensor } from '../../src/common/tensor';
import { fixturePath } from './fixtures';

/** One input of a golden run: made from a seed, not stored. */
interface GoldenInput {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly range: readonly [number, number];
  readonly seed: number;
}

/** What the reference backend answered: the first values and the mean of each output. */
export interface GoldenOutput {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly first16: readonly number[];
  readonly mean: number;
  readonly nan: number;
}

export interface Golden {
  readonly inputs: readonly GoldenInput[];
  readonly outputs: readonly GoldenOutput[];
}

/** Every fixture that is a TensorFlow.js model with a golden run, as `folder` or `tfjs/folder`. */
export function listGoldenModels(): string[] {
  const root = fixturePath('.');
  const folders = [...subfolders(root, ''), ...subfolders(join(root, 'tfjs'), 'tfjs/')];
  return folders.filter((name) => existsSync(join(root, name, 'golden.json'))).sort();
}

export function readGolden(model: string): Golden {
  return JSON.parse(readFileSync(fixturePath(join(model, 'golden.json')), 'utf8')) as Golden;
}

/** The inputs of a golden run, under their names without `:0`. */
export function goldenInputs({ inputs }: Golden): NamedTensors {
  return Object.fromEntries(inputs.map((input) => [plainName(input.name), makeInput(input)]));
}

export function plainName(name: string): string {
  return name.replace(/:0$/, '');
}

export function floats(tensor: Tensor): Float32Array | Int32Array {
  const { buffer, byteOffset, byteLength } = tensor.data;
  return tensor.dtype === 'int32'
    ? new Int32Array(buffer, byteOffset, byteLength / 4)
    : new Float32Array(buffer, byteOffset, byteLength / 4);
}

/** A float32 tensor of the given values. */
export function floatTensor(shape: readonly number[], values: readonly number[]): Tensor {
  return { dtype: 'float32', shape, data: new Uint8Array(Float32Array.from(values).buffer) };
}

/** How far two numbers may be apart: 1e-5 relative, and 1e-6 absolute that matters for small values. */
export function isClose(actual: number, expected: number, absolute = 1e-6): boolean {
  if (Number.isNaN(expected)) return Number.isNaN(actual);
  if (actual === expected || !Number.isFinite(expected)) return actual === expected;
  return Math.abs(actual - expected) <= absolute + 1e-5 * Math.abs(expected);
}

/** What differs between an answer and the golden one; empty when nothing does. */
export function differences(actual: Tensor, expected: GoldenOutput): string[] {
  const values = floats(actual);
  const found: string[] = [];
  if (actual.shape.join() !== expected.shape.join()) {
    found.push(`shape ${actual.shape.join()} instead of ${expected.shape.join()}`);
  }
  expected.first16.forEach((value, index) => {
    if (!isClose(values[index]!, value)) {
      found.push(`[${index}] ${values[index]!} instead of ${value}`);
    }
  });
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  if (!isClose(mean, expected.mean)) found.push(`mean ${mean} instead of ${expected.mean}`);
  return found;
}

function makeInput({ shape, dtype, range: [low, high], seed }: GoldenInput): Tensor {
  const random = mulberry32(seed);
  const values =
    dtype === 'int32' ? new Int32Array(elementCount(shape)) : new Float32Array(elementCount(shape));
  for (let index = 0; index < values.length; index++) {
    const value = low + random() * (high - low);
    values[index] = dtype === 'int32' ? Math.floor(value) : value;
  }
  return { dtype, shape, data: new Uint8Array(values.buffer) };
}

/** The small public-domain generator that the golden runs were made with. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function subfolders(folder: string, prefix: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((item) => item.isDirectory())
    .map((item) => `${prefix}${item.name}`);
}
