import { type Db, ObjectId } from 'mongodb';

import { blobsOf } from '../../src/artifacts/artifact';
import { type Signature } from '../../src/common/tensor';
import { type ModelDoc } from '../../src/models/model.doc';
import { type VersionDoc } from '../../src/models/version.doc';
import { type AliasMoveDoc } from '../../src/models/alias-moves.repository';
import { storeVersion } from './stored-version';

export interface Publication {
  readonly signature: Signature;
  readonly labels?: readonly string[];
  readonly state?: VersionDoc['state'];
  readonly recording?: ModelDoc['recording'];
  readonly aliases?: readonly string[];
}

/** A model with one version as a publish would leave it, without the upload. */
export async function publishStored(
  db: Db,
  model: string,
  files: ReadonlyMap<string, Uint8Array>,
  publication: Publication,
): Promise<VersionDoc> {
  const { signature, labels = null, state = 'ready', aliases = ['live'], recording } = publication;
  const { compiled, ...loadable } = await storeVersion(db, files, { model, version: 1, signature });
  const now = new Date();
  const doc: VersionDoc = {
    ...loadable,
    ...(compiled ? { compiled } : {}),
    _id: `${model}/1`,
    state,
    uploadId: new ObjectId().toHexString(),
    createdAt: now,
    readyAt: now,
    parent: null,
    normalizedFrom: null,
    normalizedDigest: null,
    // What the sweeper goes by.
    blobs: blobsOf(loadable.files),
    rawBytes: loadable.loadedBytes,
    storedBytes: loadable.loadedBytes,
    addedBytes: loadable.loadedBytes,
    declaredSignature: null,
    labels,
    recipe: null,
    description: '',
    framework: null,
    trainingParameters: {},
    metrics: [],
    tags: [],
    warnings: [],
    failure: null,
    pins: aliases,
  };
  await db.collection<ModelDoc>('models').insertOne({
    _id: model,
    description: '',
    tags: [],
    ...(recording ? { recording } : {}),
    lastVersion: 1,
    firstVersion: 1,
    deleted: false,
    createdAt: now,
    updatedAt: now,
  });
  await db.collection<VersionDoc>('versions').insertOne(doc);
  for (const alias of aliases) {
    await db.collection<AliasMoveDoc>('aliasMoves').insertOne({
      _id: new ObjectId(),
      model,
      alias,
      revision: 1,
      kind: 'first',
      from: null,
      version: 1,
      movedAt: now,
      movedBy: 'test',
      reason: 'first version',
    });
  }
  return doc;
}
