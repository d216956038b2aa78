import { type Db } from 'mongodb';

import { type ArtifactFile } from '../../src/artifacts/artifact';
import { ArtifactStore } from '../../src/artifacts/artifact.store';
import { InlineCodec } from '../../src/artifacts/codec/inline-codec';
import { type LoadableVersion } from '../../src/models/version';
import { aVersion } from './loadable';

/** Writes the files of an artifact to GridFS, as a version that executors can load. */
export async function storeVersion(
  db: Db,
  files: ReadonlyMap<string, Uint8Array>,
  version: Partial<LoadableVersion> = {},
): Promise<LoadableVersion> {
  const store = new ArtifactStore(db, new InlineCodec());
  const stored: ArtifactFile[] = [];
  for (const [path, bytes] of files) {
    const ref = await store.write(store.newFileId(), once(bytes));
    // A majority write behind the chunks: from here on every client sees them.
    await store.seal(ref, path);
    stored.push({ path, contentType: 'application/octet-stream', ref });
  }
  return aVersion(files, { files: stored, ...version });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Uint8Array.from(bytes));
}
