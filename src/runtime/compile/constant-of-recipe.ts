import { NotCompiledError } from '../runtime.errors';
import {
  type ComputedType,
  type Constant,
  filled,
  permuted,
  reshaped,
  type Elements,
} from './constant';
import {
  biasFor,
  combined,
  converted,
  gatesOf,
  joined,
  negated,
  normFactors,
  normSummands,
  product,
  reciprocal,
  rounded,
  scaledAlong,
  spread,
} from './constant-steps';
import { type Recipe } from './recipe';

/**
 * The constant that a recipe stands for, by the very steps that the compiler took.
 *
 * @throws NotCompiledError for a weight that is not among them
 */
export function constantOfRecipe(recipe: Recipe, weights: ReadonlyMap<string, Constant>): Constant {
  const make = (part: Recipe): Constant => constantOfRecipe(part, weights);
  const makeAny = (part: Recipe | null): Constant | undefined => (part ? make(part) : undefined);
  switch (recipe.kind) {
    case 'weight': {
      const weight = weights.get(recipe.name);
      if (weight) return weight;
      throw new NotCompiledError(`The weight ${recipe.name} is missing`);
    }
    case 'given': {
      const { dtype, shape, data } = recipe;
      return { dtype, shape, recipe, read: () => given(dtype, data) };
    }
    case 'filled':
      return filled(make(recipe.of), recipe.shape);
    case 'reshaped':
      return reshaped(make(recipe.of), recipe.shape);
    case 'permuted':
      return permuted(make(recipe.of), recipe.permutation);
    case 'converted':
      return converted(make(recipe.of), recipe.dtype);
    case 'negated':
      return negated(make(recipe.of));
    case 'reciprocal':
      return reciprocal(make(recipe.of));
    case 'rounded':
      return rounded(make(recipe.of));
    case 'spread':
      return spread(make(recipe.of), recipe.count);
    case 'joined':
      return joined(recipe.of.map(make));
    case 'product':
      return product(make(recipe.of[0]), make(recipe.of[1]));
    case 'gates':
      return gatesOf(make(recipe.of), recipe.gates);
    case 'scaled':
      return scaledAlong(make(recipe.of), recipe.axis, make(recipe.factors));
    case 'combined':
      return combined(makeAny(recipe.of), make(recipe.factors), make(recipe.summands));
    case 'biasFor':
      return biasFor(make(recipe.kernel), make(recipe.summands), makeAny(recipe.of));
    case 'normFactors':
    case 'normSummands': {
      const { mean, variance, gamma, beta, epsilon } = recipe;
      const parts = {
        mean: make(mean),
        variance: make(variance),
        gamma: makeAny(gamma),
        beta: makeAny(beta),
        epsilon,
      };
      return recipe.kind === 'normFactors' ? normFactors(parts) : normSummands(parts);
    }
  }
}

function given(dtype: ComputedType, data: string): Elements {
  // A buffer of its own: what a Buffer looks into begins at any place.
  const { buffer } = Uint8Array.from(Buffer.from(data, 'base64'));
  return {
    float32: () => new Float32Array(buffer),
    int32: () => new Int32Array(buffer),
    bool: () => new Uint8Array(buffer),
  }[dtype]();
}
