import { elementCount } from '../../common/tensor';
import { type ComputedType, type Constant, type Elements, elementsOf } from './constant';

/** Each element times the factor of its index along one axis. */
export function scaledAlong(constant: Constant, axis: number, factors: Constant): Constant {
  const { shape, recipe } = constant;
  const scale = (): Float32Array => {
    const [values, each] = [constant.read(), factors.read()];
    const inner = elementCount(shape.slice(axis + 1));
    const size = shape[axis] ?? 1;
    const scaled = new Float32Array(values.length);
    for (let at = 0, index = 0; at < scaled.length; index = (index + 1) % size) {
      const factor = each[index] ?? 1;
      for (const end = at + inner; at < end; at++) scaled[at] = (values[at] ?? 0) * factor;
    }
    return scaled;
  };
  return {
    dtype: 'float32',
    shape,
    recipe: { kind: 'scaled', of: recipe, axis, factors: factors.recipe },
    read: scale,
  };
}

/** The bias of what is scaled and shifted, which may have had none. */
export function shifted(
  bias: Constant | undefined,
  factors: Constant,
  summands: Constant,
): Constant {
  return rounded(combined(bias, factors, summands));
}

/** Numbers times factors plus summands, not rounded. */
export function combined(
  before: Constant | undefined,
  factors: Constant,
  summands: Constant,
): Constant {
  return {
    dtype: 'float32',
    shape: summands.shape,
    recipe: {
      kind: 'combined',
      of: before?.recipe ?? null,
      factors: factors.recipe,
      summands: summands.recipe,
    },
    read: () => {
      const [values, each] = [before?.read(), factors.read()];
      return Float64Array.from(
        summands.read(),
        (summand, index) => summand + (values?.[index] ?? 0) * (each[index] ?? 1),
      );
    },
  };
}

/** Products one by one, not rounded. */
export function product(one: Constant, other: Constant): Constant {
  return {
    dtype: 'float32',
    shape: one.shape,
    recipe: { kind: 'product', of: [one.recipe, other.recipe] },
    read: () => {
      const factors = other.read();
      return Float64Array.from(one.read(), (value, index) => value * (factors[index] ?? 1));
    },
  };
}

export function negated(constant: Constant): Constant {
  return eachOf('negated', constant, (values) => Float64Array.from(values, (value) => -value));
}

export function reciprocal(constant: Constant): Constant {
  return eachOf('reciprocal', constant, (values) =>
    Float64Array.from(values, (value) => 1 / value),
  );
}

/** What a step has left in 64 bits, as a model has it. */
export function rounded(constant: Constant): Constant {
  return eachOf('rounded', constant, (values) => Float32Array.from(values));
}

function eachOf(
  kind: 'negated' | 'reciprocal' | 'rounded',
  constant: Constant,
  compute: (values: Elements) => Elements,
): Constant {
  const { shape, recipe } = constant;
  return {
    dtype: 'float32',
    shape,
    recipe: { kind, of: recipe },
    read: () => compute(constant.read()),
  };
}

/** As many numbers, out of fewer over and over. */
export function spread(constant: Constant, count: number): Constant {
  return {
    dtype: 'float32',
    shape: [count],
    recipe: { kind: 'spread', of: constant.recipe, count },
    read: () => {
      const values = constant.read();
      return Float64Array.from({ length: count }, (_, index) => values[index % values.length] ?? 0);
    },
  };
}

/** The numbers of several lists, one behind the other. */
export function joined(lists: readonly Constant[]): Constant {
  return {
    dtype: 'float32',
    shape: [lists.reduce((sum, { shape }) => sum + elementCount(shape), 0)],
    recipe: { kind: 'joined', of: lists.map(({ recipe }) => recipe) },
    read: () => Float64Array.from(lists.flatMap(({ read }) => [...read()])),
  };
}

/** What a summand for each channel that comes in adds to the outputs of a kernel, and its bias. */
export function biasFor(
  kernel: Constant,
  summands: Constant,
  bias: Constant | undefined,
): Constant {
  const [channels = 1, outputs = 1] = kernel.shape.slice(-2);
  return {
    dtype: 'float32',
    shape: [outputs],
    recipe: {
      kind: 'biasFor',
      kernel: kernel.recipe,
      summands: summands.recipe,
      of: bias?.recipe ?? null,
    },
    read: () => {
      const [values, each, before] = [kernel.read(), summands.read(), bias?.read()];
      const sums = Float64Array.from({ length: outputs }, (_, index) => before?.[index] ?? 0);
      for (let at = 0, channel = 0; at < values.length; channel = (channel + 1) % channels) {
        const summand = each[channel] ?? 0;
        for (let output = 0; output < outputs; output++, at++) {
          sums[output] = (sums[output] ?? 0) + (values[at] ?? 0) * summand;
        }
      }
      return Float32Array.from(sums);
    },
  };
}

/** Whether something is true of each element. */
export function isEvery({ read }: Constant, isSo: (value: number) => boolean): boolean {
  return read().every((value) => isSo(value));
}

/** Fractions are cut off, and what is not zero is true. */
export function converted(constant: Constant, dtype: ComputedType): Constant {
  const { shape, recipe } = constant;
  return {
    dtype,
    shape,
    recipe: { kind: 'converted', of: recipe, dtype },
    read: () => {
      const values = constant.read();
      if (dtype === 'bool') return Uint8Array.from(values, (value) => (value ? 1 : 0));
      return elementsOf(dtype, dtype === 'int32' ? values.map(Math.trunc) : values);
    },
  };
}

/** What a recurrent cell has for each gate, in the order that is asked for. */
export function gatesOf(constant: Constant, gates: readonly number[]): Constant {
  const { shape, recipe } = constant;
  return {
    dtype: 'float32',
    shape,
    recipe: { kind: 'gates', of: recipe, gates },
    read: () => {
      const values = constant.read();
      const size = values.length / gates.length;
      const ordered = new Float32Array(values.length);
      gates.forEach((gate, index) => {
        ordered.set(values.subarray(gate * size, (gate + 1) * size), index * size);
      });
      return ordered;
    },
  };
}

/** What a batch normalisation was trained to. */
export interface NormParts {
  readonly mean: Constant;
  readonly variance: Constant;
  readonly gamma: Constant | undefined;
  readonly beta: Constant | undefined;
  readonly epsilon: number;
}

/** What a batch normalisation multiplies each channel with. */
export function normFactors(parts: NormParts): Constant {
  return ofNorm('normFactors', parts, () => factorsOf(parts));
}

/** What it adds to each channel behind that; made from factors that were not rounded yet. */
export function normSummands(parts: NormParts): Constant {
  return ofNorm('normSummands', parts, () => {
    const [mean, beta] = [parts.mean.read(), parts.beta?.read()];
    return factorsOf(parts).map(
      (factor, index) => (beta?.[index] ?? 0) - (mean[index] ?? 0) * factor,
    );
  });
}

function factorsOf({ variance, gamma, epsilon }: NormParts): Float64Array {
  const scale = gamma?.read();
  return Float64Array.from(
    variance.read(),
    (value, index) => (scale?.[index] ?? 1) / Math.sqrt(value + epsilon),
  );
}

function ofNorm(
  kind: 'normFactors' | 'normSummands',
  { mean, variance, gamma, beta, epsilon }: NormParts,
  compute: () => Float64Array,
): Constant {
  return {
    dtype: 'float32',
    shape: [elementCount(variance.shape)],
    recipe: {
      kind,
      mean: mean.recipe,
      variance: variance.recipe,
      gamma: gamma?.recipe ?? null,
      beta: beta?.recipe ?? null,
      epsilon,
    },
    read: () => Float32Array.from(compute()),
  };
}
