import { type ObjectId } from 'mongodb';

/** Whoever knows what blobs are needed for; implemented above, where the versions are. */
export interface ReferenceSource {
  /**
   * Which of the blobs somebody needs, as hex ids: a version that is or may become whole, an
   * upload that relies on them, or the upload under whose ids they are being written.
   *
   * Uploads are looked at before versions: one that hands its blobs on to its version meanwhile is
   * seen in at least one of the two.
   */
  referencedAmong(blobs: readonly ObjectId[]): Promise<ReadonlySet<string>>;
}
