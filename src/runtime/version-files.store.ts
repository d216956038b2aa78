import { type MongoClient, ObjectId } from 'mongodb';

import { type ArtifactFile, type ArtifactRef, type BlobRef } from '../artifacts/artifact';
import { ArtifactStore, type Piece, type RoomFor } from '../artifacts/artifact.store';
import { InlineCodec } from '../artifacts/codec/inline.codec';
import { type LoadableVersion } from '../models/version';
import { createClient } from '../mongo/connect';
import { asStoreError } from '../mongo/mongo-failure';
import { type FileSource } from './engines/engine';
import {
  type ExecutorDatabase,
  type WireBlob,
  type WireRef,
  type WireVersion,
} from './executor-protocol';

/** One load at a time reads through these, and one more may check the server. */
const POOL_SIZE = 2;

const noRoom: RoomFor = () => undefined;

/**
 * Files of versions as an executor reads them: straight from the database over a small client of
 * its own, which opens with the first load, decoded on its own thread.
 */
export class VersionFilesStore implements FileSource {
  private client: MongoClient | undefined;
  private artifacts: ArtifactStore | undefined;

  constructor(private readonly database: ExecutorDatabase) {}

  async read({ ref }: ArtifactFile): Promise<ArrayBuffer> {
    try {
      return await this.store().read(ref);
    } catch (error) {
      throw asStoreError(error) ?? error;
    }
  }

  async *open({ ref }: ArtifactFile, roomFor: RoomFor = noRoom): AsyncGenerator<Piece> {
    try {
      yield* this.store().readPieces(ref, roomFor);
    } catch (error) {
      throw asStoreError(error) ?? error;
    }
  }

  private store(): ArtifactStore {
    if (!this.artifacts) {
      const { uri, db } = this.database;
      this.client = createClient(uri, { appName: 'gridstow-executor', maxPoolSize: POOL_SIZE });
      this.artifacts = new ArtifactStore(this.client.db(db), new InlineCodec(), true);
    }
    return this.artifacts;
  }
}

/** The inverse of how a version is sent to an executor. */
export function fromWireVersion({ files, compiled, ...version }: WireVersion): LoadableVersion {
  return {
    ...version,
    files: files.map(({ ref, ...file }) => ({ ...file, ref: fromWireRef(ref) })),
    ...(compiled ? { compiled: { ...compiled, ref: fromWireRef(compiled.ref) } } : {}),
  };
}

function fromWireRef(ref: WireRef): ArtifactRef {
  const segments = ref.segments.map(({ base, ...segment }) => ({
    ...fromWireBlob(segment),
    ...(base ? { base: fromWireBlob(base) } : {}),
  }));
  return { ...ref, segments };
}

function fromWireBlob({ blob, ...rest }: WireBlob): BlobRef {
  return { ...rest, blob: ObjectId.createFromHexString(blob) };
}
