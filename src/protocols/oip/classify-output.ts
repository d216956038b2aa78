import { elementCount, type Tensor, type TensorSpec } from '../../common/tensor';
import { packTexts } from '../../common/text-bytes';
import { type TensorValues, valuesOf } from '../../common/tensor-values';

/**
 * The classification extension: in place of the values of an output its highest ones, best first,
 * each as the text `value:index`, and `:label` where the version has one for each of them. Values
 * that are no numbers come last.
 */
export function classifyOutput(
  tensor: Tensor,
  spec: TensorSpec | undefined,
  classes: number,
  labels: readonly string[] | null,
): Tensor {
  const values = valuesOf(tensor);
  const isBatch = spec?.shape[0] === -1 && tensor.shape.length > 0;
  const items = isBatch ? (tensor.shape[0] ?? 1) : 1;
  const size = elementCount(isBatch ? tensor.shape.slice(1) : tensor.shape);
  const shown = Math.min(classes, size);
  const texts: Buffer[] = [];
  for (let item = 0; item < items; item++) {
    const start = item * size;
    for (const place of best(values, start, size, shown)) {
      const label = labels?.length === size ? `:${labels[place] ?? ''}` : '';
      texts.push(Buffer.from(`${textOf(values, start + place)}:${place}${label}`));
    }
  }
  return {
    dtype: 'string',
    shape: isBatch ? [items, shown] : [shown],
    data: packTexts(texts),
  };
}

/** Of equal values the first one stands first. */
function best(values: TensorValues, start: number, size: number, shown: number): number[] {
  const valueAt = (place: number): number | bigint => values[start + place] as number | bigint;
  const isNumber = (place: number): boolean => !Number.isNaN(valueAt(place));
  const places = Array.from({ length: size }, (_, place) => place);
  places.sort((a, b) => {
    if (!isNumber(a) || !isNumber(b)) return Number(isNumber(b)) - Number(isNumber(a)) || a - b;
    return valueAt(a) === valueAt(b) ? a - b : valueAt(a) > valueAt(b) ? -1 : 1;
  });
  return places.slice(0, shown);
}

/** The shortest text that reads as the same number of the output's type. */
function textOf(values: TensorValues, place: number): string {
  const value = values[place] ?? 0;
  if (!(values instanceof Float32Array) || typeof value !== 'number') return String(value);
  for (const digits of [6, 7, 8]) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return String(rounded);
  }
  return String(Number(value.toPrecision(9)));
}
