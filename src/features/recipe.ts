import { createHash } from 'node:crypto';

import { canonicalJson } from '../common/canonical-json';

export const CHANNELS = ['rgb', 'gray'] as const;
export type Channels = (typeof CHANNELS)[number];

export const RESIZE_METHODS = ['bilinear'] as const;
export const ORIENTATIONS = ['exif', 'ignore'] as const;
export const LAYOUTS = ['hwc', 'chw'] as const;

/** The largest picture that a recipe can ask for: what is resized costs by what comes out. */
export const MAX_AREA = 1024 * 1024;

export interface ImageSize {
  readonly height: number;
  readonly width: number;
}

/** `value * multiply + offset`: one number for all channels, or one for each. */
export interface Scale {
  readonly multiply: number | readonly number[];
  readonly offset: number | readonly number[];
}

/** How an image becomes the input of a model, every choice written out. */
export interface ImageRecipe {
  /** Whether a camera's note of how it was held turns the picture. */
  readonly orient: (typeof ORIENTATIONS)[number];
  readonly channels: Channels;
  readonly resize: ImageSize & { readonly method: (typeof RESIZE_METHODS)[number] };
  readonly scale: Scale;
  readonly layout: (typeof LAYOUTS)[number];
}

/**
 * How what a caller sends becomes tensors. One key for each kind of thing that can be sent; images
 * are the only kind so far.
 */
export interface Recipe {
  readonly image: ImageRecipe;
}

/** `sha256:<hex>` over the canonical JSON of a recipe: equal digests derive equal tensors. */
export function recipeDigest(recipe: Recipe): string {
  return `sha256:${createHash('sha256').update(canonicalJson(recipe)).digest('hex')}`;
}
