import {
  type DType,
  DTYPE_BYTES,
  elementCount,
  type NamedTensors,
  type Tensor,
  type TensorSpec,
} from '../common/tensor';

/** Zeros (false, empty text) for each input; `batch` and `size` stand in for open dimensions. */
export function zeros(inputs: readonly TensorSpec[], batch: number, size: number): NamedTensors {
  return Object.fromEntries(
    inputs.map(({ name, dtype, shape }): [string, Tensor] => {
      const sizes = shape.map((dimension, axis) =>
        dimension >= 0 ? dimension : axis === 0 ? batch : size,
      );
      // An empty text is its length alone.
      const width = dtype === 'string' ? 4 : DTYPE_BYTES[dtype];
      return [name, { dtype, shape: sizes, data: new Uint8Array(elementCount(sizes) * width) }];
    }),
  );
}

/** Numbers between two bounds, whole ones where the input is, the same ones each time for a seed. */
export function noise(
  inputs: readonly TensorSpec[],
  batch: number,
  size: number,
  seed: number,
  [low, high]: readonly [number, number] = [0, 1],
): NamedTensors {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return low + (state / 2 ** 32) * (high - low);
  };
  return Object.fromEntries(
    Object.entries(zeros(inputs, batch, size)).map(([name, { dtype, shape }]): [string, Tensor] => {
      const values = emptyValues(dtype, dtype === 'string' ? 0 : elementCount(shape));
      for (let at = 0; at < values.length; at++) {
        const value = next();
        if (dtype === 'float32') values[at] = value;
        else if (dtype === 'int32') values[at] = Math.round(value);
        else values[at] = value > (low + high) / 2 ? 1 : 0;
      }
      return [name, { dtype, shape, data: new Uint8Array(values.buffer) }];
    }),
  );
}

function emptyValues(dtype: DType, count: number): Float32Array | Int32Array | Uint8Array {
  if (dtype === 'float32') return new Float32Array(count);
  return dtype === 'int32' ? new Int32Array(count) : new Uint8Array(count);
}

/** One set of inputs to compare two engines on. */
export interface Trial {
  readonly name: string;
  readonly batch: number;
  readonly inputs: NamedTensors;
}

const LARGE_BATCH = 32;
/** The numbers are made here, where nothing may take long: larger trials are of one row. */
const MOST_ELEMENTS = 1_000_000;

/**
 * Inputs that two engines have to agree on, the most telling first: noise, the zeros of the
 * warm-up, then negative and large numbers, for one row and for several.
 */
export function* trials(
  inputs: readonly TensorSpec[],
  size: number,
  largestBatch: number,
): Generator<Trial> {
  const isBatched = inputs.every(({ shape }) => shape[0] === -1);
  const rowElements = Object.values(zeros(inputs, 1, size)).reduce(
    (sum, { shape }) => sum + elementCount(shape),
    0,
  );
  const batches = [1, 3, LARGE_BATCH].filter(
    (batch) =>
      batch === 1 || (isBatched && batch <= largestBatch && batch * rowElements <= MOST_ELEMENTS),
  );
  const kinds = [
    { name: 'noise', range: [0, 1] },
    { name: 'zeros', range: [0, 0] },
    { name: 'negative numbers', range: [-2, 0] },
    { name: 'large numbers', range: [-255, 255] },
  ] as const;
  for (const [index, { name, range }] of kinds.entries()) {
    for (const batch of batches) {
      if (batch === LARGE_BATCH && index > 0) continue;
      yield { name, batch, inputs: noise(inputs, batch, size, 7 * index + batch, range) };
    }
  }
}
