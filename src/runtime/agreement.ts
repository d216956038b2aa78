import { type NamedTensors, type Tensor } from '../common/tensor';
import { isFloats, isNumbers, valuesOf } from '../common/tensor-values';

/** How far a number may be off, relative to the expected one, and for the smallest. */
const RELATIVE = 1e-5;
const ABSOLUTE = 1e-6;

/**
 * What an answer has otherwise than the one expected, in a sentence, or null.
 *
 * Whole numbers and truth values have to be equal, and NaN and infinities have to be where they are
 * expected.
 */
export function disagreement(actual: NamedTensors, expected: NamedTensors): string | null {
  for (const [name, tensor] of Object.entries(expected)) {
    const other = actual[name];
    if (!other) return `output ${name} is missing`;
    if (other.dtype !== tensor.dtype) {
      return `output ${name} is ${other.dtype} instead of ${tensor.dtype}`;
    }
    if (other.shape.join() !== tensor.shape.join()) {
      return `output ${name} is of shape [${other.shape.join()}] instead of [${tensor.shape.join()}]`;
    }
    const worst = worstDifference(other, tensor);
    if (worst) return `output ${name} ${worst}`;
  }
  return null;
}

function worstDifference(actual: Tensor, expected: Tensor): string | null {
  const [own, wanted] = [valuesOf(actual), valuesOf(expected)];
  if (!isNumbers(own) || !isNumbers(wanted)) {
    return Buffer.compare(actual.data, expected.data) === 0 ? null : 'has other values';
  }
  const isExact = !isFloats(wanted);
  let [at, by] = [-1, 0];
  for (let index = 0; index < wanted.length; index++) {
    const [value, target] = [own[index] ?? NaN, wanted[index] ?? NaN];
    if (Object.is(value, target) || value === target) continue;
    const difference = Math.abs(value - target);
    // Everything is close to an infinity.
    const isClose = Number.isFinite(target) && difference <= ABSOLUTE + RELATIVE * Math.abs(target);
    if (isClose && !isExact) continue;
    // NaN compares with nothing, so that it counts as the largest difference of all.
    if (at < 0 || !(difference <= by)) [at, by] = [index, difference];
  }
  if (at < 0) return null;
  return `differs at ${at}: ${own[at] ?? NaN} instead of ${wanted[at] ?? NaN}`;
}
