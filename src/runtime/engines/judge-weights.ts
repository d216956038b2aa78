import { ModelUnloadableError } from '../runtime.errors';
import { type WeightBytes } from './weight-bytes';

/** Bits of a float32 without its sign: all exponents set and nothing else is infinity, more is NaN. */
const MAGNITUDE = 0x7fff_ffff;
const INFINITE = 0x7f80_0000;

/** The same of a half float. */
const HALF_MAGNITUDE = 0x7fff;
const HALF_INFINITE = 0x7c00;

/**
 * Hands weights on and looks at their numbers on the way, before a version is trusted.
 *
 * Infinities are told as a warning, since masks are made of them; so is a model of zeros, which
 * somebody forgot to train or to save.
 *
 * @throws ModelUnloadableError for a weight that holds NaN: every answer would be NaN
 */
export async function* judgeWeights(
  weights: AsyncIterable<WeightBytes>,
  warnings: string[],
): AsyncGenerator<WeightBytes> {
  const infinite: string[] = [];
  let count = 0;
  let isAllZero = true;
  for await (const weight of weights) {
    const { name } = weight.spec;
    const found = look(weight);
    if (found.nanAt !== undefined) {
      throw new ModelUnloadableError(
        `Weight ${name} holds NaN, the first time as number ${found.nanAt}: the training went wrong, or the file is damaged`,
        { weight: name, index: found.nanAt },
      );
    }
    if (found.isInfinite) infinite.push(name);
    isAllZero &&= found.isZero;
    count++;
    yield weight;
  }
  if (infinite.length > 0) {
    const shown = infinite.slice(0, 5).join(', ');
    warnings.push(`Weights hold infinities: ${shown}${infinite.length > 5 ? ', …' : ''}`);
  }
  if (count > 0 && isAllZero)
    warnings.push('Every weight is zero: was the model trained and saved?');
}

interface Numbers {
  readonly nanAt?: number;
  readonly isInfinite: boolean;
  readonly isZero: boolean;
}

function look({ spec, bytes }: WeightBytes): Numbers {
  const { dtype, quantization } = spec;
  if (dtype === 'string') return { isInfinite: false, isZero: false };
  const stored = quantization?.dtype ?? dtype;
  if (stored === 'float16') {
    return lookAtFloats(new Uint16Array(bytes), HALF_MAGNITUDE, HALF_INFINITE);
  }
  if (stored === 'float32' || stored === 'complex64') {
    return lookAtFloats(new Uint32Array(bytes), MAGNITUDE, INFINITE);
  }
  // Steps of a quantised weight say nothing by being zero: the smallest value stands for them.
  const isZero = !quantization && new Uint8Array(bytes).every((byte) => byte === 0);
  return { isInfinite: false, isZero };
}

function lookAtFloats(words: Uint16Array | Uint32Array, mask: number, infinite: number): Numbers {
  let largest = 0;
  for (let index = 0; index < words.length; index++) {
    const magnitude = (words[index] ?? 0) & mask;
    if (magnitude > infinite) return { nanAt: index, isInfinite: false, isZero: false };
    if (magnitude > largest) largest = magnitude;
  }
  return { isInfinite: largest === infinite, isZero: largest === 0 };
}
