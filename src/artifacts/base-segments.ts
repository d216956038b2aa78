import { type ArtifactFile, type BlobRef, blobRefOf, type SegmentRef } from './artifact';
import { type Cut } from './cut-plan';

/** The files of a version that a new one is likely to resemble. */
export type BaseFiles = readonly Pick<ArtifactFile, 'path' | 'ref'>[];

/** What the segments of a base version are found by when a new version is written. */
export class BaseSegments {
  private readonly byKey = new Map<string, BlobRef>();
  private readonly byPath = new Map<string, readonly SegmentRef[]>();

  constructor(files: BaseFiles) {
    for (const { path, ref } of files) {
      this.byPath.set(path, ref.segments);
      let offset = 0;
      for (const segment of ref.segments) {
        const { key, base, rawBytes } = segment;
        // A difference to a difference would take three reads: ours goes back to the same base.
        this.byKey.set(key ?? placeKey(path, offset), base ?? blobRefOf(segment));
        offset += rawBytes;
      }
    }
  }

  /** The blob that a segment may be stored as the difference to; of the same length. */
  find(key: string, rawBytes: number): BlobRef | undefined {
    const base = this.byKey.get(key);
    return base?.rawBytes === rawBytes ? base : undefined;
  }

  /** How the file of the same path was cut: the best guess while no manifest has been seen. */
  cutsOf(path: string): Cut[] | undefined {
    return this.byPath.get(path)?.map(({ rawBytes, key }) => ({
      bytes: rawBytes,
      ...(key === undefined ? {} : { key }),
    }));
  }
}

/** What a segment without a key of its own is found by. */
export function placeKey(path: string, offset: number): string {
  return `${path}@${offset}`;
}
