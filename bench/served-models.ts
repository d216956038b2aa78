import { denseModel, fixtureModel, type ModelFiles } from './bench-models';

/** The argument of the floor server that loads no model. */
export const SILENT = 'silent';

/** Asks the floor server to call its engine with one row for a while. */
export interface LoopRequest {
  readonly row: unknown;
  readonly loopMs: number;
}

/** A model that predict.bench.ts serves, with one row of its input as JSON has it. */
export interface ServedModel {
  readonly what: string;
  readonly files: ModelFiles;
  /** A row whose first value is `first`, so that rows differ. */
  readonly row: (first: number) => unknown;
}

export const SERVED_MODELS = ['mlp', 'digits'] as const;

/** Null where the model is not at hand. */
export function servedModel(name: string): ServedModel | null {
  if (name === 'mlp') {
    const rest = Array.from({ length: 29 }, (_, index) => Math.sin(index + 1));
    return {
      what: 'an MLP 30-64-32-1',
      files: denseModel([30, 64, 32, 1]),
      row: (first) => [first, ...rest],
    };
  }
  const files = fixtureModel('tfjs/digits-cnn-v1.k3h5.fixed');
  if (!files) return null;
  const image = Array.from({ length: 8 }, (_, y) =>
    Array.from({ length: 8 }, (__, x) => [((x * y) % 17) / 16]),
  );
  const [[, ...restOfLine] = [], ...otherLines] = image;
  return {
    what: 'a digits conv net 8x8',
    files,
    row: (first) => [[[first], ...restOfLine], ...otherLines],
  };
}
