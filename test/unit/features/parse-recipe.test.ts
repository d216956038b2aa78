import { InvalidInputError } from '../../../src/common/errors';
import { type DType, type Signature } from '../../../src/common/tensor';
import { imagePlan } from '../../../src/features/image-input';
import { parseRecipe } from '../../../src/features/parse-recipe';
import { recipeDigest } from '../../../src/features/recipe';

const OUTPUTS = [{ name: 'y', dtype: 'float32', shape: [-1, 2] }] as const;

function taking(shape: number[], dtype: DType = 'float32'): Signature {
  return { inputs: [{ name: 'x', dtype, shape }], outputs: OUTPUTS };
}

function faultsOf(value: unknown, signature = taking([-1, 28, 28, 1])): unknown {
  try {
    parseRecipe(value, signature, 'metadata.recipe');
  } catch (error) {
    if (error instanceof InvalidInputError) return error.details['faults'];
    throw error;
  }
  return [];
}

describe('parseRecipe', () => {
  it('writes out every choice that is left open', () => {
    expect(parseRecipe({ image: {} }, taking([-1, 28, 20, 1]), 'recipe')).toEqual({
      image: {
        orient: 'exif',
        channels: 'gray',
        resize: { height: 28, width: 20, method: 'bilinear' },
        scale: { multiply: 1 / 255, offset: 0 },
        layout: 'hwc',
      },
    });
  });

  it('keeps what is said, one number for each channel included', () => {
    const said = {
      orient: 'ignore',
      channels: 'rgb',
      resize: { height: 8, width: 9, method: 'bilinear' },
      scale: { multiply: [0.1, 0.2, 0.3], offset: -1 },
      layout: 'chw',
    };
    expect(parseRecipe({ image: said }, taking([1, 3, -1, -1]), 'recipe')).toEqual({ image: said });
  });

  it('refuses unknown keys and wrong values, each with its path', () => {
    const value = {
      table: {},
      image: {
        crop: true,
        orient: 'up',
        resize: { height: 0, width: '28', method: 'area' },
        scale: { multiply: [1, 2], offset: NaN, mean: 1 },
      },
    };
    expect(faultsOf(value)).toEqual(
      [
        'table',
        'image.crop',
        'image.orient',
        'image.resize.height',
        'image.resize.height',
        'image.resize.width',
        'image.resize.width',
        'image.resize.method',
        'image.scale.mean',
        'image.scale.multiply',
        'image.scale.offset',
      ]
        .map((path) => ({ path: `metadata.recipe.${path}`, message: expect.any(String) }))
        .sort((a, b) => order(a.path) - order(b.path)),
    );
    function order(path: string): number {
      return (faultsOf(value) as { path: string }[]).findIndex((fault) => fault.path === path);
    }
  });

  it('refuses what contradicts the input of the model', () => {
    expect(faultsOf({ image: { channels: 'rgb', resize: { height: 32 } } })).toEqual([
      { path: 'metadata.recipe.image.channels', message: expect.stringContaining('gray') },
      { path: 'metadata.recipe.image.resize.height', message: expect.stringContaining('28') },
    ]);
  });

  it('refuses a model that takes no images, and a picture beyond reason', () => {
    expect(
      faultsOf({ image: { resize: { height: 2, width: 2 } } }, taking([-1, 30])),
    ).toMatchObject([{ path: 'metadata.recipe.image' }]);
    expect(
      faultsOf({ image: { resize: { height: 4096, width: 4096 } } }, taking([-1, -1, -1, 3])),
    ).toMatchObject([{ path: 'metadata.recipe.image.resize' }]);
  });

  it.each([null, 7, 'image', [], { image: null }, {}])('refuses %j', (value) => {
    expect(faultsOf(value)).not.toEqual([]);
  });
});

describe('imagePlan', () => {
  it('derives a recipe from the input: float32 scaled, whole numbers as they are', () => {
    expect(imagePlan(null, taking([1, 224, 200, 3]))).toMatchObject({
      input: { name: 'x', takesBatch: false },
      recipe: {
        image: { channels: 'rgb', resize: { height: 224, width: 200 }, scale: { offset: 0 } },
      },
    });
    for (const dtype of ['int32', 'uint8'] as const) {
      expect(imagePlan(null, taking([-1, 8, 8, 1], dtype)).recipe.image).toMatchObject({
        channels: 'gray',
        scale: { multiply: 1 },
      });
    }
  });

  it.each([
    taking([-1, 30]),
    taking([-1, 28, 28, 4]),
    taking([2, 28, 28, 3]),
    taking([-1, 28, 28, 3], 'bool'),
    taking([-1, -1, -1, 3]),
    taking([1, 2048, 2048, 3]),
    { inputs: [], outputs: OUTPUTS },
  ])('refuses a model that takes no images of a known size: %j', (signature) => {
    expect(() => imagePlan(null, signature)).toThrow(
      expect.objectContaining({ code: 'no_image_input' }),
    );
  });

  it('prefers the recipe of the version, and its digest tells recipes apart', () => {
    const signature = taking([-1, 28, 28, 1]);
    const recipe = parseRecipe({ image: { scale: { multiply: 1 } } }, signature, 'recipe');
    const derived = imagePlan(null, signature).recipe;
    expect(imagePlan(recipe, signature).recipe).toBe(recipe);
    expect(recipeDigest(recipe)).not.toBe(recipeDigest(derived));
    expect(recipeDigest(derived)).toBe(recipeDigest(imagePlan(null, signature).recipe));
  });
});
