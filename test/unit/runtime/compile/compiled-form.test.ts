import { COMPILER_VERSION } from '../../../../src/runtime/compile/compiler-version';
import {
  assembleModel,
  decodeForm,
  encodeForm,
  weightsOf,
} from '../../../../src/runtime/compile/compiled-form';
import { constantOf, filled, permuted, reshaped } from '../../../../src/runtime/compile/constant';
import { constantOfRecipe } from '../../../../src/runtime/compile/constant-of-recipe';
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
  shifted,
  spread,
} from '../../../../src/runtime/compile/constant-steps';
import { type Recipe } from '../../../../src/runtime/compile/recipe';
import { NotCompiledError } from '../../../../src/runtime/runtime.errors';
import { compiledParts } from '../../../support/compiled';
import { readArtifact } from '../../../support/loadable';

/** What may stand in a form by value: sizes, axes, limits. */
const SMALL_BYTES = 4096;

const FORMS = [
  'tfjs/big-mlp-v1',
  'tfjs/digits-cnn-v1.k3h5.fixed',
  'tfjs/digits-lstm.k3h5.fixed',
  'tfjs/zoo-mha.graph',
  'tfjs/zoo-text.k3h5.fixed',
  'hm-age',
  'hm-selfie',
  'nsfw-mobilenet-v2',
];

function bytesByValue(part: unknown): number {
  if (Array.isArray(part)) return part.reduce<number>((sum, each) => sum + bytesByValue(each), 0);
  if (typeof part !== 'object' || part === null) return 0;
  const recipe = part as Recipe;
  if (recipe.kind === 'given') return Buffer.from(recipe.data, 'base64').length;
  return Object.values(recipe).reduce<number>((sum, each) => sum + bytesByValue(each), 0);
}

describe('a compiled form', () => {
  it.each(FORMS)('of %s names its weights and holds none of them', async (name) => {
    const files = readArtifact(name);
    const { form, weights } = await compiledParts(files);

    const byValue = form.graph.initializers.map((tensor) => bytesByValue(tensor));

    expect(Math.max(...byValue)).toBeLessThanOrEqual(SMALL_BYTES);
    const { onnx } = assembleModel(form, weights);
    const needed = new Map([...weights].filter(([weight]) => weightsOf(form).has(weight)));
    expect(Buffer.compare(assembleModel(form, needed).onnx, onnx)).toBe(0);
  });

  it('is the same for other weights, and for weights that are quantised', async () => {
    const formOf = async (name: string): Promise<string> =>
      Buffer.from(encodeForm((await compiledParts(readArtifact(name))).form)).toString();

    expect(await formOf('tfjs/digits-cnn-v2.k3h5.fixed')).toBe(
      await formOf('tfjs/digits-cnn-v1.k3h5.fixed'),
    );
    const exact = await formOf('tfjs/digits-cnn-v1.graph');
    expect(await formOf('tfjs/digits-cnn-v1.graph-uint8')).toBe(exact);
    expect(await formOf('tfjs/digits-cnn-v1.graph-float16')).toBe(exact);
  });

  it('is read by the release that wrote it alone', async () => {
    const { form } = await compiledParts(readArtifact('tfjs/cancer-mlp.k3h5.fixed'));
    const bytes = encodeForm(form);

    expect(decodeForm(bytes, COMPILER_VERSION)).toEqual(form);
    expect(() => decodeForm(bytes, COMPILER_VERSION + 1)).toThrow(NotCompiledError);
    expect(() => decodeForm(bytes.subarray(1), COMPILER_VERSION)).toThrow('is not JSON');
  });

  it('is refused where a weight is missing', async () => {
    const { form, weights } = await compiledParts(readArtifact('tfjs/cancer-mlp.k3h5.fixed'));
    const [first] = weightsOf(form);
    const fewer = new Map([...weights].filter(([name]) => name !== first));

    expect(() => assembleModel(form, fewer)).toThrow(`The weight ${first} is missing`);
  });
});

describe('a recipe', () => {
  const numbers = (...values: number[]) => constantOf('float32', [values.length], values);
  const grid = constantOf('float32', [2, 3], [1, 2, 3, 4, 5, 6]);
  const [mean, variance, gamma, beta] = [
    numbers(0.5, -1),
    numbers(4, 1 / 3),
    numbers(3, 0.1),
    numbers(7, 8),
  ];
  const norm = { mean, variance, gamma, beta, epsilon: 1e-3 };
  const plain = { ...norm, gamma: undefined, beta: undefined };

  it.each([
    ['given', constantOf('int32', [2], [1, -2]), [1, -2]],
    ['filled', filled(constantOf('int32', [], [7]), [2, 2]), [7, 7, 7, 7]],
    ['reshaped', reshaped(reshaped(grid, [6]), [3, 2]), [1, 2, 3, 4, 5, 6]],
    ['permuted', permuted(grid, [1, 0]), [1, 4, 2, 5, 3, 6]],
    ['converted', converted(numbers(-1.7, 0, 2.5), 'int32'), [-1, 0, 2]],
    ['converted to truth', converted(numbers(-1.7, 0, 2.5), 'bool'), [1, 0, 1]],
    ['negated', negated(numbers(1, -2)), [-1, 2]],
    ['spread', spread(constantOf('float32', [], [4]), 3), [4, 4, 4]],
    ['joined', joined([numbers(1, 2), numbers(3)]), [1, 2, 3]],
    ['product', product(numbers(2, 3), numbers(5, 7)), [10, 21]],
    ['reciprocal', reciprocal(numbers(3, 4)), [1 / 3, 1 / 4]],
    ['rounded', rounded(reciprocal(numbers(3))), [Math.fround(1 / 3)]],
    ['combined', combined(numbers(1, 2), numbers(3, 4), numbers(5, 6)), [8, 14]],
    ['biasFor', biasFor(grid, numbers(10, 1), numbers(0.5, 0, 0)), [14.5, 25, 36]],
    ['gates', gatesOf(numbers(1, 2, 3, 4), [1, 0]), [3, 4, 1, 2]],
    ['scaled', scaledAlong(grid, 0, numbers(1, 10)), [1, 2, 3, 40, 50, 60]],
    ['scaled', scaledAlong(grid, 1, numbers(1, 10, 100)), [1, 20, 300, 4, 50, 600]],
    ['shifted', shifted(numbers(1, 2), numbers(3, 4), numbers(5, 6)), [8, 14]],
    ['shifted from nothing', shifted(undefined, numbers(3, 4), numbers(5, 6)), [5, 6]],
    ['normFactors', normFactors(norm), [3 / Math.sqrt(4.001), 0.1 / Math.sqrt(1 / 3 + 1e-3)]],
    ['normFactors', normFactors(plain), [1 / Math.sqrt(4.001), 1 / Math.sqrt(1 / 3 + 1e-3)]],
    [
      'normSummands',
      normSummands(norm),
      [7 - 1.5 / Math.sqrt(4.001), 8 + 0.1 / Math.sqrt(1 / 3 + 1e-3)],
    ],
  ] as const)('%s comes back from JSON as what it was', (_, constant, expected) => {
    const recipe = JSON.parse(JSON.stringify(constant.recipe)) as Recipe;
    const again = constantOfRecipe(recipe, new Map());

    expect([again.dtype, again.shape]).toEqual([constant.dtype, constant.shape]);
    expect(again.read()).toEqual(constant.read());
    expect(again.recipe).toEqual(constant.recipe);
    expected.forEach((value, index) => {
      expect(constant.read()[index]).toBeCloseTo(value, 5);
    });
    expect(constant.read()).toHaveLength(expected.length);
  });
});
