import { elementCount } from '../../common/tensor';
import { type Constant, filled, scalar } from './constant';
import { biasFor, combined, isEvery, joined, product, scaledAlong, spread } from './constant-steps';
import { rankOf, type Value, withoutOrigin } from './value';

/**
 * The largest summand that goes into the weights of what follows.
 *
 * A product of `x` rounds relative to `x`, and one of `(x - mean) / deviation` relative to what is
 * left. Their difference grows with the mean in deviations, which is this summand.
 */
const LARGEST_SUMMAND = 16;

/** Remembers of a value that it is another one, each channel times a factor plus a summand. */
export function withScaling(x: Value, result: Value, factors: Constant, summands: Constant): Value {
  if (x.dtype !== 'float32' || rankOf(x) < 2) return result;
  const inner = x.scaling;
  return {
    ...result,
    scaling: {
      source: inner?.source ?? (() => withoutOrigin(x)),
      factors: inner ? product(factors, inner.factors) : factors,
      summands: inner ? combined(inner.summands, factors, summands) : summands,
    },
  };
}

/** The same for a value whose last axis has the channels once or several times over. */
export function withScalingOf(x: Value, result: Value, remake: (x: Value) => Value): Value {
  const { scaling } = x;
  const [channels, size = -1] = [scaling ? lengthOf(scaling.factors) : 0, result.shape.at(-1)];
  if (!scaling || size <= 0 || size % channels !== 0) return result;
  const { source, factors, summands } = scaling;
  return {
    ...result,
    scaling: {
      source: once(() => remake(source())),
      factors: spread(factors, size),
      summands: spread(summands, size),
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
  const all = (key: 'factors' | 'summands', otherwise: number): Constant =>
    joined(
      values.map(
        ({ scaling }, index) => scaling?.[key] ?? filled(scalar(otherwise), [sizes[index] ?? 0]),
      ),
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
  if (!scaling || lengthOf(scaling.factors) !== channels) return weighted;
  if (bias && lengthOf(bias) !== outputs) return weighted;
  const { factors, summands, source } = scaling;
  const isShifted = !isEvery(summands, (summand) => summand === 0);
  if (isShifted && isPadded) return weighted;
  if (!isEvery(factors, Number.isFinite)) return weighted;
  if (!isEvery(summands, (summand) => Math.abs(summand) <= LARGEST_SUMMAND)) return weighted;
  const scaled = scaledAlong(kernel, channelAxis, factors);
  if (!isShifted) return { x: source(), kernel: scaled, bias };
  return { x: source(), kernel: scaled, bias: biasFor(kernel, summands, bias) };
}

function lengthOf({ shape }: Constant): number {
  return elementCount(shape);
}

/** Nodes are added the first time that somebody asks, and shared by whoever asks again. */
function once(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => (made ??= make());
}
