import { type Db, type Document, type ObjectId } from 'mongodb';

import { ArtifactStore } from '../../src/artifacts/artifact.store';
import { type BlobDoc, uploadOf } from '../../src/artifacts/blob.store';
import { InlineCodec } from '../../src/artifacts/codec/inline.codec';
import { type AliasMoveDoc } from '../../src/models/alias-moves.repository';
import { type ModelDoc } from '../../src/models/model.doc';
import { isIntact, neededBlobs, type VersionDoc } from '../../src/models/version.doc';

/** What clients were told and may hold the store to. */
export interface Promises {
  /** Digests of versions that were acknowledged as ready, by `<model>/<version>`. */
  readonly ready?: ReadonlyMap<string, string>;
  /** Versions whose deletion was asked for, whatever came of it. */
  readonly deletionAsked?: ReadonlySet<string>;
}

/**
 * Everything that must be true of a store after its sweeps, checked against the collections alone:
 * I1 to I4, I7, I8 and I11, and that the byte counts of versions are those of the database.
 *
 * @returns a sentence for each violation
 */
export async function findViolations(db: Db, promises: Promises = {}): Promise<string[]> {
  const store: Store = {
    models: await db.collection<ModelDoc>('models').find().toArray(),
    versions: await db.collection<VersionDoc>('versions').find().toArray(),
    moves: await db
      .collection<AliasMoveDoc>('aliasMoves')
      .find()
      .sort({ model: 1, alias: 1, revision: 1 })
      .toArray(),
    blobs: await db.collection<BlobDoc>('artifacts.files').find().toArray(),
    chunks: await db
      .collection('artifacts.chunks')
      .aggregate<Chunk>([{ $project: { files_id: 1, n: 1, bytes: { $binarySize: '$data' } } }])
      .toArray(),
    intents: await db.collection('uploadIntents').find().toArray(),
  };
  return [
    ...(await unreadable(db, store)),
    ...misdirected(store),
    ...crooked(store),
    ...unfinished(store),
    ...orphaned(store),
    ...miscounted(store),
    ...broken(store, promises),
  ];
}

interface Chunk extends Document {
  readonly files_id: ObjectId;
  readonly n: number;
  readonly bytes: number;
}

interface Store {
  readonly models: readonly ModelDoc[];
  readonly versions: readonly VersionDoc[];
  readonly moves: readonly AliasMoveDoc[];
  readonly blobs: readonly BlobDoc[];
  readonly chunks: readonly Chunk[];
  readonly intents: readonly Document[];
}

const hex = (id: ObjectId): string => id.toHexString();

/** I1: ready means every file complete and equal to its digest. */
async function unreadable(db: Db, { versions }: Store): Promise<string[]> {
  const artifacts = new ArtifactStore(db, new InlineCodec());
  const found: string[] = [];
  for (const doc of versions.filter(({ state }) => state === 'ready')) {
    if (!isIntact(doc)) found.push(`I1: the document of ${doc._id} differs from its digest`);
    const named = (doc.blobs ?? []).map(hex).sort().join();
    if (named !== neededBlobs(doc).map(hex).sort().join()) {
      found.push(`I1: ${doc._id} does not name the blobs that it needs`);
    }
    for (const { path, ref } of doc.files) {
      await artifacts.verify(ref).catch((error: unknown) => {
        found.push(`I1: ${path} of ${doc._id}: ${String(error)}`);
      });
    }
    if (doc.compiled) {
      await artifacts.verify(doc.compiled.ref).catch((error: unknown) => {
        found.push(`I1: the compiled form of ${doc._id}: ${String(error)}`);
      });
    }
  }
  return found;
}

/** I2: an alias points at a ready version, and pins say what the moves say. */
function misdirected({ versions, moves }: Store): string[] {
  const newest = new Map(moves.map((move) => [`${move.model}@${move.alias}`, move]));
  const byId = new Map(versions.map((doc) => [doc._id, doc]));
  const found: string[] = [];
  for (const [alias, { model, version, alias: name }] of newest) {
    if (version === null) continue;
    const target = byId.get(`${model}/${version}`);
    if (target?.state !== 'ready') {
      found.push(`I2: ${alias} points at version ${version}, which is ${target?.state ?? 'gone'}`);
    }
    if (target?.pins.includes(name) !== true) {
      found.push(`I2: version ${version} is not pinned by ${alias}`);
    }
  }
  for (const { _id, model, version, pins } of versions) {
    for (const pin of pins) {
      if (newest.get(`${model}@${pin}`)?.version !== version) {
        found.push(`I2: ${_id} is pinned by ${pin}, which points elsewhere`);
      }
    }
  }
  return found;
}

/** I11: revisions without gaps, each move from where the one before led. */
function crooked({ moves }: Store): string[] {
  const found: string[] = [];
  const last = new Map<string, AliasMoveDoc>();
  for (const move of moves) {
    const alias = `${move.model}@${move.alias}`;
    const before = last.get(alias);
    if (move.revision !== (before?.revision ?? 0) + 1) {
      found.push(`I11: ${alias} goes from revision ${before?.revision ?? 0} to ${move.revision}`);
    }
    if (move.from !== (before?.version ?? null)) {
      found.push(`I11: move ${move.revision} of ${alias} starts where none ended`);
    }
    if (before && before.movedAt > move.movedAt) {
      found.push(`I11: move ${move.revision} of ${alias} is earlier than the one before`);
    }
    last.set(alias, move);
  }
  return found;
}

/** I4: nothing is left half done. */
function unfinished({ models, versions, intents }: Store): string[] {
  const numbers = new Map(models.map(({ _id, lastVersion }) => [_id, lastVersion]));
  return [
    ...versions
      .filter(({ state }) => ['pending', 'verifying', 'deleting'].includes(state))
      .map(({ _id, state }) => `I4: ${_id} is still ${state}`),
    ...intents.map(({ _id }) => `I4: the intent ${String(_id)} still stands`),
    ...versions
      .filter(({ model, version }) => version > (numbers.get(model) ?? 0))
      .map(({ _id }) => `I4: the number of ${_id} was never given`),
  ];
}

/** I8: every chunk belongs to a blob, every blob to somebody, and every blob has its one chunk. */
function orphaned({ versions, blobs, chunks }: Store): string[] {
  const found: string[] = [];
  const byId = new Map(blobs.map((blob) => [hex(blob._id), blob]));
  const needed = new Set(versions.flatMap((doc) => (doc.blobs ?? []).map(hex)));
  const chunkOf = new Map<string, Chunk>();
  for (const chunk of chunks) {
    const owner = hex(chunk.files_id);
    if (!byId.has(owner)) found.push(`I8: a chunk of ${owner}, which is no blob`);
    if (chunk.n !== 0 || chunkOf.has(owner)) found.push(`I8: a second chunk of ${owner}`);
    chunkOf.set(owner, chunk);
  }
  for (const [id, { length, filename, metadata }] of byId) {
    if (!needed.has(id)) found.push(`I8: nobody needs the blob ${id} (${filename})`);
    if (chunkOf.get(id)?.bytes !== length)
      found.push(`I8: the chunk of ${id} is not ${length} bytes`);
    if (metadata.doomedAt) found.push(`I8: ${id} is marked to go and stays`);
    if (metadata.base && !byId.has(hex(metadata.base))) found.push(`I8: ${id} has lost its base`);
  }
  return found;
}

/** The byte counts of versions are sums over what the database holds. */
function miscounted({ versions, blobs }: Store): string[] {
  const length = new Map(blobs.map((blob) => [hex(blob._id), blob.length]));
  const found: string[] = [];
  for (const { _id, state, files, uploadId, storedBytes, addedBytes } of versions) {
    if (state === 'failed' && (storedBytes !== 0 || addedBytes !== 0)) {
      found.push(`${_id} failed and still counts bytes`);
    }
    if (state !== 'ready') continue;
    const segments = files.flatMap(({ ref }) => ref.segments.map(({ blob }) => blob));
    const distinct = [...new Map(segments.map((blob) => [hex(blob), blob])).values()];
    const bytesOf = (ids: readonly ObjectId[]): number =>
      ids.reduce((sum, id) => sum + (length.get(hex(id)) ?? NaN), 0);
    const own = distinct.filter((blob) => uploadOf(blob).equals(uploadId));
    if (bytesOf(distinct) !== storedBytes) {
      found.push(`${_id} says ${storedBytes} stored bytes, there are ${bytesOf(distinct)}`);
    }
    if (bytesOf(own) !== addedBytes) {
      found.push(`${_id} says ${addedBytes} added bytes, there are ${bytesOf(own)}`);
    }
  }
  return found;
}

/** I3 and I7: what was acknowledged is there, and as it was. */
function broken({ versions }: Store, { ready, deletionAsked }: Promises): string[] {
  const byId = new Map(versions.map((doc) => [doc._id, doc]));
  const found: string[] = [];
  for (const [id, digest] of ready ?? []) {
    const doc = byId.get(id);
    if (doc?.digest !== digest)
      found.push(`I7: ${id} was ready as ${digest} and is ${doc?.digest ?? 'gone'}`);
    const mayBeGone = deletionAsked?.has(id) === true && doc?.state === 'deleted';
    if (doc?.state !== 'ready' && !mayBeGone) {
      found.push(`I3: ${id} was ready and is ${doc?.state ?? 'gone'}`);
    }
  }
  return found;
}
