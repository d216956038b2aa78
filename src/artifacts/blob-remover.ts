import { randomUUID } from 'node:crypto';

import { type ObjectId } from 'mongodb';

import { type BlobStore, type FreedBytes } from './blob.store';
import { type ReferenceSource } from './reference-source.port';

/**
 * The one place where blobs are removed: exactly those that nobody refers to.
 *
 * ```
 * remover: doom (mark, majority) -> look for references -> spare, or remove what is still doomed by it
 * upload:  announce the use (intent, majority) -> look at the blob: doomed? then store it anew
 * ```
 * Whichever of the two is first, the other sees it. Of two removers the later mark wins, so neither
 * acts on what it saw before the other looked. Every call can be repeated; one that is cut off
 * leaves marks, which the next call for the same blobs takes over.
 */
export class BlobRemover {
  constructor(
    private readonly blobs: BlobStore,
    private readonly references: ReferenceSource,
  ) {}

  /** Frees those of the blobs that nobody refers to. A base goes only with, or after, its differences. */
  async free(candidates: readonly ObjectId[]): Promise<FreedBytes> {
    // What is evidently needed is not even marked: others would store it a second time meanwhile.
    const unneeded = without(candidates, await this.references.referencedAmong(candidates));
    if (unneeded.length === 0) return { blobs: 0, storedBytes: 0 };
    const by = randomUUID();
    await this.blobs.doom(unneeded, by);
    const needed = new Set(await this.references.referencedAmong(unneeded));
    const bases = await this.blobs.listBasesOfOthers(without(unneeded, needed));
    for (const base of bases) needed.add(base.toHexString());
    await this.blobs.spare(
      unneeded.filter((id) => needed.has(id.toHexString())),
      by,
    );
    return await this.blobs.removeDoomed(without(unneeded, needed), by);
  }

  /**
   * Frees what an upload that came to its end wrote and relied upon, as far as nobody needs it.
   * Its intent must not count as a reference any more.
   */
  async freeUpload(uploadId: ObjectId, uses: readonly ObjectId[]): Promise<FreedBytes> {
    const freed = await this.free([...(await this.blobs.idsOfUpload(uploadId)), ...uses]);
    await this.blobs.removeChunksOfUpload(uploadId, await this.blobs.idsOfUpload(uploadId));
    return freed;
  }
}

function without(ids: readonly ObjectId[], excluded: ReadonlySet<string>): ObjectId[] {
  return ids.filter((id) => !excluded.has(id.toHexString()));
}
