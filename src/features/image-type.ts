import { NotAnImageError } from './features.errors';

export const IMAGE_TYPES = ['image/jpeg', 'image/png', 'image/webp', 'image/gif'] as const;
export type ImageType = (typeof IMAGE_TYPES)[number];

/** How files of each type begin; a dot stands for any byte. */
const BEGINNINGS: readonly (readonly [ImageType, RegExp])[] = [
  ['image/jpeg', /^\xff\xd8\xff/],
  ['image/png', /^\x89PNG\r\n\x1a\n/],
  ['image/webp', /^RIFF[^]{4}WEBPVP8[ LX]/],
  ['image/gif', /^GIF8[79]a/],
];

/**
 * What the bytes are, whatever they are called. Everything else is refused before any decoder sees
 * it: SVG and PDF run code or open files, TIFF has more dialects than uses here.
 *
 * @throws NotAnImageError
 */
export function imageTypeOf(bytes: Uint8Array, subject = 'The image'): ImageType {
  const found = findType(bytes);
  if (!found) {
    throw new NotAnImageError(
      `${subject} is neither JPEG nor PNG, WebP or GIF, whatever its name and type say`,
      { accepted: IMAGE_TYPES },
    );
  }
  return found;
}

/** Whether the bytes begin as an image does that is taken here. */
export function isImage(bytes: Uint8Array): boolean {
  return findType(bytes) !== null;
}

function findType(bytes: Uint8Array): ImageType | null {
  const beginning = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 16));
  const text = beginning.toString('latin1');
  return BEGINNINGS.find(([, pattern]) => pattern.test(text))?.[0] ?? null;
}
