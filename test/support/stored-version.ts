import { type Db } from 'mongodb';

import { type ArtifactFile } from '../../src/artifacts/artifact';
import { ArtifactStore } from '../../src/artifacts/artifact.store';
import { InlineCodec } from '../../src/artifacts/codec/inline.codec';
import { readWeightGroups } from '../../src/formats/weight-groups';
import { UploadIntentsRepository } from '../../src/models/upload-intents.repository';
import { UploadLease } from '../../src/models/upload-lease';
import { type LoadableVersion } from '../../src/models/version';
import { Schema } from '../../src/mongo/schema';
import { aVersion } from './loadable';

/** Writes the files of an artifact to GridFS, as a version that executors can load. */
export async function storeVersion(
  db: Db,
  files: ReadonlyMap<string, Uint8Array>,
  version: Partial<LoadableVersion> = {},
): Promise<LoadableVersion> {
  const stored = await storeFiles(db, files);
  return aVersion(files, { files: stored, ...version });
}

/** Writes files as an upload does, up to the point where others can find their blobs. */
export async function storeFiles(
  db: Db,
  files: ReadonlyMap<string, Uint8Array>,
  base: readonly ArtifactFile[] = [],
): Promise<readonly ArtifactFile[]> {
  const store = new ArtifactStore(db, new InlineCodec());
  const lease = new UploadLease(new UploadIntentsRepository(db, new Schema()), 'stored');
  const writer = store.writer({ claims: lease, base: () => Promise.resolve(base) });
  for (const [path, bytes] of files) {
    await writer.write(path, once(bytes));
    writer.plan(readWeightGroups(path, bytes));
  }
  const unsealed = [...(await writer.finish())].map(([path, ref]) => ({
    path,
    contentType: 'application/octet-stream',
    ref,
  }));
  // A majority write behind the chunks: from here on every client sees them.
  const sealed = await store.seal(unsealed, lease, (path) => path);
  await lease.release();
  return sealed;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Uint8Array.from(bytes));
}
