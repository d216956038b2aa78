import { DTYPE_BYTES, elementCount } from '../../common/tensor';
import { NotCompiledError } from '../runtime.errors';
import { type Constant } from './constant';

/** One weight as a weights manifest describes it. */
export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: {
    readonly dtype: string;
    readonly scale?: number;
    readonly min?: number;
  };
}

const STORED_BYTES: Readonly<Record<string, number>> = { uint8: 1, uint16: 2, float16: 2 };

/**
 * The weights of a TensorFlow.js model, which follow each other without gaps across the shards.
 *
 * @throws NotCompiledError for weights of texts, or fewer bytes than the manifest promises
 */
export function decodeWeights(
  specs: readonly WeightSpec[],
  shards: readonly ArrayBuffer[],
): ReadonlyMap<string, Constant> {
  const bytes = joined(shards);
  let at = 0;
  return new Map(
    specs.map((spec) => {
      const length = elementCount(spec.shape) * storedWidth(spec);
      if (at + length > bytes.byteLength) {
        throw new NotCompiledError('There are fewer bytes of weights than the manifest says');
      }
      // A copy of its own, because typed arrays start at multiples of their element.
      const stored = bytes.slice(at, at + length).buffer;
      at += length;
      return [spec.name, decodeWeight(spec, stored)];
    }),
  );
}

function storedWidth({ name, dtype, quantization }: WeightSpec): number {
  const width = quantization
    ? STORED_BYTES[quantization.dtype]
    : DTYPE_BYTES[dtype as keyof typeof DTYPE_BYTES];
  if (!width) throw new NotCompiledError(`Weight ${name} of type ${dtype} is not compiled`);
  return width;
}

function decodeWeight({ dtype, shape, quantization }: WeightSpec, stored: ArrayBuffer): Constant {
  if (quantization) {
    const { scale = 1, min = 0 } = quantization;
    return dtype === 'int32'
      ? { dtype, shape, values: dequantized(quantization.dtype, stored, scale, min, Int32Array) }
      : {
          dtype: 'float32',
          shape,
          values: dequantized(quantization.dtype, stored, scale, min, Float32Array),
        };
  }
  if (dtype === 'int32') return { dtype, shape, values: new Int32Array(stored) };
  if (dtype === 'bool') return { dtype, shape, values: new Uint8Array(stored) };
  return { dtype: 'float32', shape, values: new Float32Array(stored) };
}

function dequantized<T extends Float32Array | Int32Array>(
  kind: string,
  stored: ArrayBuffer,
  scale: number,
  min: number,
  make: new (length: number) => T,
): T {
  const codes = kind === 'uint8' ? new Uint8Array(stored) : new Uint16Array(stored);
  const values = new make(codes.length);
  const isWhole = values instanceof Int32Array;
  // Plain loops: weights are millions of numbers.
  for (let at = 0; at < values.length; at++) {
    const code = codes[at] ?? 0;
    const value = kind === 'float16' ? floatOfHalf(code) : code * scale + min;
    values[at] = isWhole ? Math.round(value) : value;
  }
  return values;
}

/** IEEE 754 binary16. */
function floatOfHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function joined(shards: readonly ArrayBuffer[]): Uint8Array {
  const bytes = new Uint8Array(shards.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const shard of shards) {
    bytes.set(new Uint8Array(shard), at);
    at += shard.byteLength;
  }
  return bytes;
}
