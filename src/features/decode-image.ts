import sharp from 'sharp';

import { ImageDamagedError, ImageTooLargeError } from './features.errors';
import { imageTypeOf } from './image-type';
import { PixelBudget } from './pixel-budget';
import { type ImageRecipe } from './recipe';

/** Images with more pixels are refused by their header. */
export const MAX_PIXELS = 50_000_000;

/** What may be in memory at once: one of the largest, or many of the usual ones. */
const budget = new PixelBudget(MAX_PIXELS);

/** Decoded pixels, row by row: 3 bytes each for red, green, blue, or 4 for inks. */
export interface Pixels {
  readonly data: Uint8Array;
  readonly height: number;
  readonly width: number;
  readonly space: 'rgb' | 'cmyk';
}

// Each image is seen once: a cache would only hold memory.
sharp.cache(false);

/**
 * Decodes an image on the threads of the decoder and gives its pixels to `use`; they are gone
 * afterwards.
 *
 * Values are those in the file, 8 bits a channel: 16 bits lose the lower half, transparency is
 * dropped, colour profiles are not applied. Of an animation the first frame counts.
 *
 * @throws NotAnImageError, ImageTooLargeError, ImageDamagedError
 */
export async function withPixels<T>(
  bytes: Uint8Array,
  orient: ImageRecipe['orient'],
  use: (pixels: Pixels) => Promise<T>,
  subject = 'The image',
): Promise<T> {
  const type = imageTypeOf(bytes, subject);
  const header = await readHeader(bytes, subject);
  const count = header.width * header.height;
  if (count > MAX_PIXELS) {
    throw new ImageTooLargeError(
      `${subject} has ${header.width} x ${header.height} pixels, at most ${MAX_PIXELS} are decoded`,
      { width: header.width, height: header.height, maxPixels: MAX_PIXELS, type },
    );
  }
  const space = header.space === 'cmyk' ? 'cmyk' : 'rgb';
  return await budget.hold(count, async () => {
    return await use(await decode(bytes, orient, space, subject));
  });
}

async function readHeader(bytes: Uint8Array, subject: string): Promise<sharp.Metadata> {
  try {
    return await sharp(bytes, { limitInputPixels: false }).metadata();
  } catch (cause) {
    throw damaged(cause, subject);
  }
}

async function decode(
  bytes: Uint8Array,
  orient: ImageRecipe['orient'],
  space: Pixels['space'],
  subject: string,
): Promise<Pixels> {
  const image = sharp(bytes, {
    limitInputPixels: MAX_PIXELS,
    failOn: 'error',
    ignoreIcc: true,
    sequentialRead: orient === 'ignore',
  });
  // Inks as they are in the file: on its way through another space a printer's profile would mix in.
  if (space === 'cmyk') image.pipelineColourspace('cmyk');
  try {
    const { data, info } = await (orient === 'exif' ? image.autoOrient() : image)
      .toColourspace(space === 'cmyk' ? 'cmyk' : 'srgb')
      .removeAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return { data, height: info.height, width: info.width, space };
  } catch (cause) {
    throw damaged(cause, subject);
  }
}

function damaged(cause: unknown, subject: string): ImageDamagedError {
  const why = cause instanceof Error ? cause.message.split('\n')[0]?.slice(0, 200) : undefined;
  return new ImageDamagedError(
    `${subject} cannot be decoded: it is cut off, or damaged`,
    [{ path: '', message: why ?? 'cannot be decoded' }],
    {},
  );
}
