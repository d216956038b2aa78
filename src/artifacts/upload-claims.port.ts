import { type ObjectId } from 'mongodb';

/** An upload's promise to the rest of the store; implemented above, where the intents are. */
export interface UploadClaims {
  /** The ids of what the upload writes are made from this one. */
  readonly uploadId: ObjectId;
  /** Announces that the upload writes; before its first chunk. A majority has it on return. */
  open(): Promise<void>;
  /** Announces that the upload relies on blobs of others; a majority has it on return. */
  use(blobs: readonly ObjectId[]): Promise<void>;
  /** A majority has everything that was written before, on return. @throws when the upload was given up */
  assertHeld(): Promise<void>;
}
