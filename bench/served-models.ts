import { convModel, denseModel, fixtureModel, type ModelFiles } from './bench-models';

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
  /** Also asked with a photograph. */
  readonly takesImages?: boolean;
}

export const SERVED_MODELS = ['mlp', 'conv28', 'digits', 'mobilenet'] as const;

/** Those whose rows take so long that a second of load says little. */
export const SLOW_MODELS: readonly string[] = ['mobilenet'];

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
  if (name === 'conv28') {
    return { what: 'a conv net for 28x28 images', files: convModel(), row: rowOf(28, 1) };
  }
  const [folder, what, size, channels] =
    name === 'mobilenet'
      ? (['nsfw-mobilenet-v2', 'MobileNetV2 for 224x224 images', 224, 3] as const)
      : (['tfjs/digits-cnn-v1.k2h5', 'a digits conv net 8x8', 8, 1] as const);
  const files = fixtureModel(folder);
  if (!files) return null;
  return { what, files, row: rowOf(size, channels), takesImages: name === 'mobilenet' };
}

/** Square images that differ in their first value. */
function rowOf(size: number, channels: number): (first: number) => unknown {
  const image = Array.from({ length: size }, (_, y) =>
    Array.from({ length: size }, (__, x) =>
      Array.from({ length: channels }, () => ((x * y) % 17) / 16),
    ),
  );
  const [[[, ...restOfPixel] = [], ...restOfLine] = [], ...otherLines] = image;
  return (first) => [[[first, ...restOfPixel], ...restOfLine], ...otherLines];
}
