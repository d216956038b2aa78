import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Gray values per image, and the largest of them. */
const PIXELS = 64;
const MAX_GRAY = 16;

/** Every fourth image is kept from training, so accuracy means something. */
const HELD_OUT_EVERY = 4;

/** Images with values from 0 to 1, 64 each, row by row, and the digits that they show. */
export interface DigitSet {
  readonly images: readonly (readonly number[])[];
  readonly digits: readonly number[];
}

/** The handwritten digits of scripts/data, split the same way every time. */
export function readDigits(): { readonly train: DigitSet; readonly heldOut: DigitSet } {
  // The compiled script lies in dist/scripts, the data beside its source.
  const file = join(__dirname, '../../scripts/data/digits.csv');
  const rows = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(',').map(Number));
  const isHeldOut = (index: number): boolean => index % HELD_OUT_EVERY === 0;
  return {
    train: toSet(rows.filter((_row, index) => !isHeldOut(index))),
    heldOut: toSet(rows.filter((_row, index) => isHeldOut(index))),
  };
}

/** One image as the 8x8x1 tensor that the models take. */
export function toInstance(image: readonly number[]): number[][][] {
  return Array.from({ length: 8 }, (_row, y) =>
    image.slice(y * 8, y * 8 + 8).map((gray) => [gray]),
  );
}

function toSet(rows: readonly number[][]): DigitSet {
  return {
    images: rows.map((row) => row.slice(0, PIXELS).map((gray) => gray / MAX_GRAY)),
    digits: rows.map((row) => row[PIXELS] ?? 0),
  };
}
