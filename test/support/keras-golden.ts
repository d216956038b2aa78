import { readFileSync } from 'node:fs';

/** What Keras itself answered, for a model with one input or several. */
interface KerasGolden {
  readonly inputShape?: readonly number[];
  readonly input?: readonly number[];
  readonly inputs?: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly values: readonly number[] }>
  >;
  readonly outputs: readonly { readonly shape: readonly number[]; readonly values: number[] }[];
}

/** A request body for the inputs, and the flat values that each output must have. */
export interface KerasCase {
  readonly inputs: unknown;
  readonly outputs: readonly (readonly number[])[];
}

export function readKerasGolden(path: string): KerasCase {
  const golden = JSON.parse(readFileSync(path, 'utf8')) as KerasGolden;
  const { inputs, inputShape = [], input = [] } = golden;
  const named = Object.entries(inputs ?? {}).map(([name, { shape, values }]) => [
    name,
    nest(shape, values),
  ]);
  return {
    inputs: inputs ? Object.fromEntries(named) : nest(inputShape, input),
    outputs: golden.outputs.map(({ values }) => values),
  };
}

/** Where values are further apart than the tolerances allow; empty when nowhere. */
export function farApart(
  actual: readonly number[],
  expected: readonly number[],
  { relative = 1e-5, absolute = 1e-6 } = {},
): string[] {
  if (actual.length !== expected.length) {
    return [`${actual.length} values instead of ${expected.length}`];
  }
  return expected.flatMap((value, index) => {
    const difference = Math.abs(actual[index]! - value);
    return difference <= absolute + relative * Math.abs(value)
      ? []
      : [`[${index}] ${actual[index]!} instead of ${value}`];
  });
}

function nest(shape: readonly number[], values: readonly number[]): unknown {
  const [size = 0, ...inner] = shape;
  if (inner.length === 0) return values.slice(0, size);
  const stride = inner.reduce((product, extent) => product * extent, 1);
  return Array.from({ length: size }, (_, index) =>
    nest(inner, values.slice(index * stride, (index + 1) * stride)),
  );
}
