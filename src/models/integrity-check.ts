import { type Db, type ObjectId } from 'mongodb';

import { type BlobRef } from '../artifacts/artifact';
import { ArtifactCorruptError } from '../artifacts/artifact.errors';
import { type BlobDoc } from '../artifacts/blob.store';
import { type AliasMoveDoc } from './alias-moves.repository';
import { type StoreKeeping } from './store-keeping';
import { isIntact, neededBlobs, type VersionDoc } from './version.doc';

/** Blobs that are looked at together. */
const PAGE = 200;

/** One thing that is not as it must be. */
export interface Finding {
  /** `<model>/<version>`, `blob <id>` or `<model>@<alias>`. */
  readonly subject: string;
  readonly message: string;
}

export interface IntegrityReport {
  readonly versions: number;
  readonly blobs: number;
  readonly aliases: number;
  readonly readBytes: number;
  readonly damage: readonly Finding[];
  /** Ready versions among the damaged that were taken out of service. */
  readonly quarantined: readonly string[];
  /** What nobody reaches: no damage, the next sweep removes it. */
  readonly loose: { readonly blobs: number; readonly storedBytes: number };
  /** Uploads that have an intent: alive, or left to the reaper. */
  readonly uploads: number;
}

export interface IntegrityOptions {
  readonly isQuarantining?: boolean;
  /** Told after each version and each page of blobs; in raw bytes. */
  readonly onProgress?: (readBytes: number, allBytes: number) => void;
}

/**
 * Reads a whole store and compares it with what it says about itself.
 *
 * Every file and compiled form of every ready version against its digest, every other blob against its own, every
 * version document against its digest, every alias against the version that it points at. Safe
 * beside running services; changes nothing unless told to quarantine.
 */
export class IntegrityCheck {
  constructor(
    private readonly db: Db,
    private readonly store: StoreKeeping,
  ) {}

  async run({
    isQuarantining = false,
    onProgress,
  }: IntegrityOptions = {}): Promise<IntegrityReport> {
    const damage: Finding[] = [];
    const quarantined: string[] = [];
    const read = new Set<string>();
    const versions = this.db.collection<VersionDoc>('versions');
    const ready = await versions.find({ state: 'ready' }).sort({ _id: 1 }).toArray();
    const allBytes = ready.reduce((sum, { rawBytes }) => sum + rawBytes, 0);
    let readBytes = 0;
    for (const doc of ready) {
      const found = await this.checkVersion(doc, damage);
      for (const id of neededBlobs(doc)) read.add(id.toHexString());
      if (found && isQuarantining) {
        const failure = { code: 'artifact_corrupt', message: found };
        if (await this.store.versions.markQuarantined(doc._id, failure)) quarantined.push(doc._id);
        await this.store.artifacts.retireDamaged(doc.files);
      }
      await this.checkCompiled(doc, damage, isQuarantining);
      readBytes += doc.rawBytes;
      onProgress?.(readBytes, allBytes);
    }
    const blobs = await this.checkOtherBlobs(read, damage);
    const aliases = await this.checkAliases(damage);
    const { blobs: looseBlobs, storedBytes } = await this.store.sweeper.sweep({
      isDryRun: true,
      pauseMs: 0,
    });
    return {
      versions: ready.length,
      blobs,
      aliases,
      readBytes,
      damage,
      quarantined,
      loose: { blobs: looseBlobs, storedBytes },
      uploads: await this.db.collection('uploadIntents').countDocuments(),
    };
  }

  /** @returns what is wrong, or undefined */
  private async checkVersion(doc: VersionDoc, damage: Finding[]): Promise<string | undefined> {
    const faults: string[] = [];
    if (!isIntact(doc)) faults.push('its document differs from its digest');
    for (const { path, ref } of doc.files) {
      const fault = await faultOf(async () => {
        await this.store.artifacts.verify(ref);
      });
      if (fault !== undefined) faults.push(`${path}: ${fault}`);
    }
    for (const message of faults) damage.push({ subject: doc._id, message });
    return faults[0];
  }

  /** Damage to it is none to the version, which can be compiled anew. */
  private async checkCompiled(
    { _id, compiled }: VersionDoc,
    damage: Finding[],
    isRetiring: boolean,
  ): Promise<void> {
    if (!compiled) return;
    const { artifacts } = this.store;
    const fault = await faultOf(async () => {
      await artifacts.verify(compiled.ref);
    });
    if (fault === undefined) return;
    damage.push({ subject: _id, message: `compiled form: ${fault}` });
    if (isRetiring) await artifacts.retireDamaged([compiled]);
  }

  private async checkOtherBlobs(read: ReadonlySet<string>, damage: Finding[]): Promise<number> {
    const { blobs } = this.store.artifacts;
    let count = 0;
    for (let after: ObjectId | undefined; ;) {
      const page = await blobs.list(PAGE, after);
      count += page.length;
      for (const doc of page) {
        const id = doc._id.toHexString();
        if (read.has(id) || doc.metadata.damagedAt) continue;
        const fault = await this.checkBlob(doc);
        if (fault !== undefined) damage.push({ subject: `blob ${id}`, message: fault });
      }
      if (page.length < PAGE) return count;
      after = page.at(-1)?._id;
    }
  }

  private async checkBlob(doc: BlobDoc): Promise<string | undefined> {
    const { base } = doc.metadata;
    const [baseDoc] = base ? await this.store.artifacts.blobs.findByIds([base]) : [];
    if (base && !baseDoc) return 'the blob that it is a difference to is gone';
    return await faultOf(async () => {
      await this.store.artifacts.verifySegments([
        { ...refOf(doc), ...(baseDoc ? { base: refOf(baseDoc) } : {}) },
      ]);
    });
  }

  private async checkAliases(damage: Finding[]): Promise<number> {
    const newest = await this.db
      .collection<AliasMoveDoc>('aliasMoves')
      .aggregate<AliasMoveDoc>([
        { $sort: { model: 1, alias: 1, revision: -1 } },
        { $group: { _id: { model: '$model', alias: '$alias' }, move: { $first: '$$ROOT' } } },
        { $replaceRoot: { newRoot: '$move' } },
        { $match: { version: { $ne: null } } },
      ])
      .toArray();
    for (const { model, alias, version } of newest) {
      const target = version === null ? null : await this.store.versions.find(model, version);
      const subject = `${model}@${alias}`;
      if (target?.state !== 'ready') {
        const state = target?.state ?? 'not there';
        damage.push({ subject, message: `points at version ${version ?? 0}, which is ${state}` });
      } else if (!target.pins.includes(alias)) {
        damage.push({ subject, message: `points at version ${target.version} without a pin` });
      }
    }
    return newest.length;
  }
}

/** What reading found wrong with the bytes. Any other failure is one of the check itself. */
async function faultOf(read: () => Promise<void>): Promise<string | undefined> {
  try {
    await read();
    return undefined;
  } catch (error) {
    if (error instanceof ArtifactCorruptError) return error.message;
    throw error;
  }
}

function refOf({ _id, length, metadata: { sha256, rawBytes } }: BlobDoc): BlobRef {
  return { blob: _id, sha256, rawBytes, storedBytes: length };
}
