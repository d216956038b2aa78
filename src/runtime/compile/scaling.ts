import { type Constant, floats, scaledAlong } from './constant';
import { rankOf, type Value, withoutOrigin } from './value';

/**
 * The largest summand that goes into the weights of what follows.
 *
 * A product of `x` rounds relative to `x`, and one of `(x - mean) / deviation` relative to what is
 * left. Their difference grows with the mean in deviations, which is this summand.
 */
const LARGEST_SUMMAND = 16;

/** Remembers of a value that it is another one, each channel times a factor plus a summand. */
export function withScaling(
  x: Value,
  result: Value,
  factors: readonly number[],
  summands: readonly number[],
): Value {
  if (x.dtype !== 'float32' || rankOf(x) < 2) return result;
  const inner = x.scaling;
  return {
    ...result,
    scaling: {
      source: inner?.source ?? (() => withoutOrigin(x)),
      factors: factors.map((factor, index) => factor * (inner?.factors[index] ?? 1)),
      summands: factors.map(
        (factor, index) => factor * (inner?.summands[index] ?? 0) + (summands[index] ?? 0),
      ),
    },
  };
}

/** The same for a value whose last axis has the channels once or several times over. */
export function withScalingOf(x: Value, result: Value, remake: (x: Value) => Value): Value {
  const { scaling } = x;
  const [channels, size = -1] = [scaling?.factors.length ?? 0, result.shape.at(-1)];
  if (!scaling || size <= 0 || size % channels !== 0) return result;
  const over = (values: readonly number[]): number[] =>
    Array.from({ length: size }, (_, index) => values[index % channels] ?? 0);
  const { source, factors, summands } = scaling;
  return {
    ...result,
    scaling: {
      source: once(() => remake(source())),
      factors: over(factors),
      summands: over(summands),
    },
  };
}

/** The same for rows that were joined, some of them scaled. */
export function withScalingOfAll(
  values: readonly Value[],
  result: Value,
  remake: (values: readonly Value[]) => Value,
): Value {
  const sizes = values.map(({ shape }) => shape.at(-1) ?? -1);
  if (sizes.includes(-1) || !values.some(({ scaling }) => scaling)) return result;
  const all = (key: 'factors' | 'summands', otherwise: number): number[] =>
    values.flatMap(
      ({ scaling }, index) =>
        scaling?.[key] ?? new Array<number>(sizes[index] ?? 0).fill(otherwise),
    );
  return {
    ...result,
    scaling: {
      source: once(() => remake(values.map((value) => value.scaling?.source() ?? value))),
      factors: all('factors', 1),
      summands: all('summands', 0),
    },
  };
}

/** What a dense layer or a convolution takes. */
export interface Weighted {
  readonly x: Value;
  /** `[..., channels in, channels out]` */
  readonly kernel: Constant;
  readonly bias: Constant | undefined;
}

/**
 * The same result from what was there before the scaling, with the scaling in the weights.
 *
 * @param isPadded whether zeros stand beside the input, to which a summand is not added
 */
export function absorbScaling(weighted: Weighted, isPadded = false): Weighted {
  const { x, kernel, bias } = weighted;
  const { scaling } = x;
  const channelAxis = kernel.shape.length - 2;
  const [channels = 0, outputs = 0] = kernel.shape.slice(-2);
  if (scaling?.factors.length !== channels) return weighted;
  if (bias && bias.values.length !== outputs) return weighted;
  const { factors, summands, source } = scaling;
  const isShifted = summands.some((summand) => summand !== 0);
  if (isShifted && isPadded) return weighted;
  if (!factors.every(Number.isFinite)) return weighted;
  if (!summands.every((summand) => Math.abs(summand) <= LARGEST_SUMMAND)) return weighted;
  const scaled = scaledAlong(kernel, channelAxis, factors);
  if (!isShifted) return { x: source(), kernel: scaled, bias };
  const shifted = Float64Array.from({ length: outputs }, (_, index) => bias?.values[index] ?? 0);
  for (let at = 0, channel = 0; at < kernel.values.length; channel = (channel + 1) % channels) {
    const summand = summands[channel] ?? 0;
    for (let output = 0; output < outputs; output++, at++) {
      shifted[output] = (shifted[output] ?? 0) + (kernel.values[at] ?? 0) * summand;
    }
  }
  return { x: source(), kernel: scaled, bias: floats([...shifted]) };
}

/** Nodes are added the first time that somebody asks, and shared by whoever asks again. */
function once(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => (made ??= make());
}
