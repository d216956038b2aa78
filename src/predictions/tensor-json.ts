import { type Tensor } from '../common/tensor';
import { isNumbers, type TensorValues, valuesOf } from '../common/tensor-values';

/** One element as JSON can carry it: what no number of JSON equals as a string. */
export type JsonElement = number | string | boolean;

/** All elements as one flat list for JSON. */
export function flatJson(tensor: Tensor): readonly JsonElement[] {
  return jsonSlice(valuesOf(tensor));
}

/**
 * Elements from `start` to `end` for JSON. A float32 is written with the digits of the double that
 * equals it, so that whoever reads it gets the very same number; an int64 that no double equals is
 * a string of its digits.
 */
export function jsonSlice(
  values: TensorValues,
  start = 0,
  end = values.length,
): readonly JsonElement[] {
  if (values instanceof BigInt64Array) {
    return Array.from(values.subarray(start, end), wholeJson);
  }
  if (!isNumbers(values)) return values.slice(start, end);
  // By hand: from an iterator it takes several times as long, and this runs for every prediction.
  const slice: JsonElement[] = [];
  for (let index = start; index < end; index++) {
    const value = values[index] ?? 0;
    // JSON would turn what is not finite into null.
    slice.push(Number.isFinite(value) ? value : String(value));
  }
  return slice;
}

function wholeJson(value: bigint): JsonElement {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}
