import { setImmediate as nextTurn } from 'node:timers/promises';

import { type Pixels } from './decode-image';
import { type Channels, type ImageSize } from './recipe';

/** Values made between two looks at the event loop: less than a millisecond of work. */
const VALUES_PER_TURN = 32 * 1024;

/** For each place of an output axis: the two places it lies between, and how near to the second. */
interface Axis {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly weight: Float32Array;
}

/**
 * Resizes to `size`, each value from its four nearest pixels, and gives height x width x channels
 * in 0..255.
 *
 * Centres of pixels lie on halves and nothing is smoothed before shrinking, as in Keras and
 * TensorFlow: models were trained on such pictures, and smoother ones look different to them.
 *
 * The work grows with the picture that comes out, whatever came in, and lets the event loop turn
 * in between: handing the pixels to another thread would copy more than is read here.
 */
export async function resizeBilinear(
  source: Pixels,
  size: ImageSize,
  channels: Channels,
): Promise<Float32Array> {
  const depth = channels === 'rgb' ? 3 : 1;
  const rows = axis(source.height, size.height);
  const columns = axis(source.width, size.width);
  const result = new Float32Array(size.height * size.width * depth);
  const rowsPerTurn = Math.max(1, Math.floor(VALUES_PER_TURN / (size.width * depth)));
  for (let start = 0; start < size.height; start += rowsPerTurn) {
    if (start > 0) await nextTurn();
    const end = Math.min(start + rowsPerTurn, size.height);
    if (channels === 'rgb' && source.space === 'rgb') {
      fillRgbRows(result, source, rows, columns, start, end);
    } else fillRows(result, source, rows, columns, channels, start, end);
  }
  return result;
}

/** What most pictures are, without a call for each of four corners: half the time. */
function fillRgbRows(
  result: Float32Array,
  { data, width: sourceWidth }: Pixels,
  rows: Axis,
  columns: Axis,
  start: number,
  end: number,
): void {
  const width = columns.low.length;
  let at = start * width * 3;
  for (let y = start; y < end; y++) {
    const top = (rows.low[y] ?? 0) * sourceWidth;
    const bottom = (rows.high[y] ?? 0) * sourceWidth;
    const down = rows.weight[y] ?? 0;
    for (let x = 0; x < width; x++) {
      const left = columns.low[x] ?? 0;
      const right = columns.high[x] ?? 0;
      const across = columns.weight[x] ?? 0;
      const topLeft = (top + left) * 3;
      const topRight = (top + right) * 3;
      const bottomLeft = (bottom + left) * 3;
      const bottomRight = (bottom + right) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const above = mix(data[topLeft + channel] ?? 0, data[topRight + channel] ?? 0, across);
        const below = mix(
          data[bottomLeft + channel] ?? 0,
          data[bottomRight + channel] ?? 0,
          across,
        );
        result[at++] = mix(above, below, down);
      }
    }
  }
}

function fillRows(
  result: Float32Array,
  source: Pixels,
  rows: Axis,
  columns: Axis,
  channels: Channels,
  start: number,
  end: number,
): void {
  const width = columns.low.length;
  const depth = channels === 'rgb' ? 3 : 1;
  const corners = [0, 1, 2, 3].map(() => new Float32Array(3));
  const [topLeft, topRight, bottomLeft, bottomRight] = corners as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  let at = start * width * depth;
  for (let y = start; y < end; y++) {
    const top = (rows.low[y] ?? 0) * source.width;
    const bottom = (rows.high[y] ?? 0) * source.width;
    const down = rows.weight[y] ?? 0;
    for (let x = 0; x < width; x++) {
      const left = columns.low[x] ?? 0;
      const right = columns.high[x] ?? 0;
      const across = columns.weight[x] ?? 0;
      readPixel(topLeft, source, top + left, channels);
      readPixel(topRight, source, top + right, channels);
      readPixel(bottomLeft, source, bottom + left, channels);
      readPixel(bottomRight, source, bottom + right, channels);
      for (let channel = 0; channel < depth; channel++) {
        const above = mix(topLeft[channel] ?? 0, topRight[channel] ?? 0, across);
        const below = mix(bottomLeft[channel] ?? 0, bottomRight[channel] ?? 0, across);
        result[at++] = mix(above, below, down);
      }
    }
  }
}

function mix(from: number, to: number, weight: number): number {
  return from + (to - from) * weight;
}

function axis(from: number, to: number): Axis {
  const low = new Int32Array(to);
  const high = new Int32Array(to);
  const weight = new Float32Array(to);
  for (let place = 0; place < to; place++) {
    const centre = (place + 0.5) * (from / to) - 0.5;
    const floor = Math.floor(centre);
    low[place] = Math.max(floor, 0);
    high[place] = Math.min(floor + 1, from - 1);
    weight[place] = centre - floor;
  }
  return { low, high, weight };
}

/** One pixel in the channels that are wanted. */
function readPixel(into: Float32Array, source: Pixels, place: number, channels: Channels): void {
  const { data, space } = source;
  let red: number;
  let green: number;
  let blue: number;
  if (space === 'cmyk') {
    const at = place * 4;
    const light = 255 - (data[at + 3] ?? 0);
    red = underInk(light, data[at] ?? 0);
    green = underInk(light, data[at + 1] ?? 0);
    blue = underInk(light, data[at + 2] ?? 0);
  } else {
    const at = place * 3;
    red = data[at] ?? 0;
    green = data[at + 1] ?? 0;
    blue = data[at + 2] ?? 0;
  }
  if (channels === 'rgb') {
    into[0] = red;
    into[1] = green;
    into[2] = blue;
  } else {
    into[0] = luma(red, green, blue);
  }
}

/** What an ink leaves of the light: the plain rule, without the profile of a press. */
function underInk(light: number, ink: number): number {
  return Math.round((light * (255 - ink)) / 255);
}

/** Brightness by ITU-R 601 as a whole number; the weights add up to 1, so gray stays as it is. */
function luma(red: number, green: number, blue: number): number {
  return (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16;
}
