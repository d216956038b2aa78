import { type ComputedType } from './constant';

/**
 * How a constant of a compiled model comes about: a weight of the version under its name, or a few
 * small numbers, and what was done to them. As it stands in a stored form, so a kind keeps its
 * meaning for as long as the release of the compiler does.
 */
export type Recipe =
  | { readonly kind: 'weight'; readonly name: string }
  | {
      readonly kind: 'given';
      readonly dtype: ComputedType;
      readonly shape: readonly number[];
      /** The elements, little endian, in base64. */
      readonly data: string;
    }
  | { readonly kind: 'filled'; readonly of: Recipe; readonly shape: readonly number[] }
  | { readonly kind: 'reshaped'; readonly of: Recipe; readonly shape: readonly number[] }
  | { readonly kind: 'permuted'; readonly of: Recipe; readonly permutation: readonly number[] }
  | { readonly kind: 'converted'; readonly of: Recipe; readonly dtype: ComputedType }
  | { readonly kind: 'negated' | 'reciprocal' | 'rounded'; readonly of: Recipe }
  | { readonly kind: 'spread'; readonly of: Recipe; readonly count: number }
  | { readonly kind: 'joined'; readonly of: readonly Recipe[] }
  | { readonly kind: 'product'; readonly of: readonly [Recipe, Recipe] }
  | { readonly kind: 'gates'; readonly of: Recipe; readonly gates: readonly number[] }
  | {
      readonly kind: 'scaled';
      readonly of: Recipe;
      readonly axis: number;
      readonly factors: Recipe;
    }
  | {
      readonly kind: 'combined';
      readonly of: Recipe | null;
      readonly factors: Recipe;
      readonly summands: Recipe;
    }
  | {
      readonly kind: 'biasFor';
      readonly of: Recipe | null;
      readonly kernel: Recipe;
      readonly summands: Recipe;
    }
  | {
      readonly kind: 'normFactors' | 'normSummands';
      readonly mean: Recipe;
      readonly variance: Recipe;
      readonly gamma: Recipe | null;
      readonly beta: Recipe | null;
      readonly epsilon: number;
    };
