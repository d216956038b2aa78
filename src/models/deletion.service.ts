import { Inject, Injectable } from '@nestjs/common';

import { BlobRemover } from '../artifacts/blob-remover';
import { type Config } from '../config/config';
import { CONFIG } from '../config/config.tokens';
import { AliasesService, type MoveOptions } from './aliases.service';
import { HoldsRepository } from './holds.repository';
import { HeldError, VersionInUseError, VersionNotReadyError } from './models.errors';
import { ModelsRepository } from './models.repository';
import { type VersionLeaseDoc, VersionLeasesRepository } from './version-leases.repository';
import { VersionResolver } from './version-resolver.service';
import { type VersionDoc } from './version.doc';
import { VERSION_STATES, type VersionState } from './version';
import { VersionsRepository } from './versions.repository';

const BATCH = 100;

/** States of versions whose upload is still at work. */
const UNDER_WAY: readonly VersionState[] = ['pending', 'verifying'];

const UNDELETED = VERSION_STATES.filter((state) => state !== 'deleting' && state !== 'deleted');

export interface DeletionOptions {
  /** Takes the aliases away that hold what is deleted, with moves that say this, instead of refusing. */
  readonly alongWithAliases?: MoveOptions;
}

/**
 * Deletes versions and models.
 *
 * A version that an alias holds, or that is being read, stays. A deleted one is out of sight at
 * once; its bytes go after the grace, so that whoever found it before can finish. Its document
 * stays as a tombstone: the number is never given again and predictions that cite it can still say
 * what they cite.
 */
@Injectable()
export class DeletionService {
  constructor(
    private readonly models: ModelsRepository,
    private readonly versions: VersionsRepository,
    private readonly aliases: AliasesService,
    private readonly remover: BlobRemover,
    private readonly leases: VersionLeasesRepository,
    private readonly resolver: VersionResolver,
    private readonly holds: HoldsRepository,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** @throws VersionInUseError naming the aliases that hold it, or who reads it and until when; HeldError */
  async deleteVersion(
    model: string,
    version: number,
    { alongWithAliases }: DeletionOptions = {},
  ): Promise<void> {
    const doc = await this.versions.get(model, version);
    await this.assertFree(model);
    await this.assertUnread([doc]);
    if (alongWithAliases) await this.takeAliases(model, await this.holders(doc), alongWithAliases);
    await this.takeOut(doc);
    if (this.config.deleteGraceMs === 0) await this.free(doc);
  }

  /**
   * @throws VersionInUseError when any alias of the model points somewhere, or it is being uploaded
   * to; HeldError
   */
  async deleteModel(model: string, { alongWithAliases }: DeletionOptions = {}): Promise<void> {
    await this.models.assertExists(model);
    await this.assertFree(model);
    if (!alongWithAliases) await this.assertUnaliased(model);
    if ((await this.versionsIn(model, UNDER_WAY)).length > 0) throw busy(model);
    await this.assertUnread(await this.versionsIn(model, UNDELETED));
    if (alongWithAliases) {
      const held = await this.aliases.aliasesByVersion(model);
      await this.takeAliases(model, [...held.values()].flat(), alongWithAliases);
    }
    const lastVersion = (await this.models.find(model))?.lastVersion ?? 0;
    // From here on uploads make a new model: whatever had a number before goes.
    if (!(await this.models.markDeleted(model, lastVersion))) throw busy(model);
    try {
      await this.assertUnaliased(model);
    } catch (error) {
      await this.models.unmarkDeleted(model, lastVersion);
      throw error;
    }
    this.resolver.forget(model);
    for (const doc of await this.versionsIn(model, UNDELETED)) {
      if (doc.version <= lastVersion) await this.takeAway(doc);
    }
  }

  private async takeAliases(
    model: string,
    aliases: readonly string[],
    move: MoveOptions,
  ): Promise<void> {
    for (const alias of aliases) await this.aliases.remove(model, alias, move);
  }

  /** Takes a version with its model, at whatever point of its life. */
  private async takeAway(doc: VersionDoc): Promise<void> {
    // An upload that had its number already finds out when it wants to become ready.
    await this.versions.markFailed(doc._id, doc.uploadId, {
      code: 'model_deleted',
      message: 'The model was deleted meanwhile',
    });
    await this.takeOut(doc);
    if (this.config.deleteGraceMs === 0) await this.free(doc);
  }

  /** Records of a held model cite its versions. */
  private async assertFree(model: string): Promise<void> {
    const hold = await this.holds.find('model', model);
    if (hold) throw new HeldError(`Model ${model}`, hold);
  }

  private async assertUnread(docs: readonly VersionDoc[]): Promise<void> {
    const [lease] = await this.leases.listLive(docs.map(({ _id }) => _id));
    if (lease) throw beingRead(lease);
  }

  private async assertUnaliased(model: string): Promise<void> {
    const held = await this.aliases.aliasesByVersion(model);
    if (held.size === 0) return;
    const aliases = [...held.values()].flat();
    throw new VersionInUseError(
      `Model ${model} is in use: remove its aliases first (${aliases.join(', ')})`,
      { model, aliases },
    );
  }

  private async versionsIn(model: string, states: readonly VersionState[]): Promise<VersionDoc[]> {
    const filter = { states, tags: [], metrics: [] };
    const found: VersionDoc[] = [];
    for (let after: number | undefined; ; after = found.at(-1)?.version) {
      const docs = await this.versions.list(model, filter, {
        limit: BATCH,
        sort: '-version',
        ...(after === undefined ? {} : { after }),
      });
      found.push(...docs);
      if (docs.length < BATCH) return found;
    }
  }

  /** Frees what was deleted longer ago than the grace. @returns how many versions */
  async finishDue(signal?: AbortSignal): Promise<number> {
    let finished = 0;
    for (const doc of await this.versions.listDeleting(this.config.deleteGraceMs)) {
      if (signal?.aborted) break;
      if (await this.free(doc)) finished++;
    }
    return finished;
  }

  /** Goes on with deletions of models that a crash cut off between the model and its versions. */
  async finishModels(signal?: AbortSignal): Promise<number> {
    let finished = 0;
    for (const [model, lastVersion] of await this.models.listDeletedNumbers()) {
      if (signal?.aborted) break;
      for (const doc of await this.versionsIn(model, UNDELETED)) {
        if (doc.version > lastVersion || doc.pins.length > 0) continue;
        await this.takeAway(doc);
        finished++;
      }
    }
    return finished;
  }

  /** @returns false when somebody reads it still: a lease that was taken just before the deletion */
  private async free(doc: VersionDoc): Promise<boolean> {
    if ((await this.leases.listLive([doc._id])).length > 0) return false;
    await this.remover.free(await this.versions.releaseBlobs(doc._id));
    return await this.versions.markDeleted(doc._id);
  }

  /** From here on nobody finds the version any more. */
  private async takeOut(doc: VersionDoc): Promise<void> {
    const { _id, model, version, state } = doc;
    const taken = await this.versions.markDeleting(_id);
    this.resolver.forget(model);
    if (!taken) {
      const aliases = await this.holders(doc);
      if (aliases.length === 0) {
        throw new VersionNotReadyError(
          `Version ${version} of ${model} is ${state} or being promoted; try again in a moment`,
          { model, version, state },
        );
      }
      throw new VersionInUseError(
        `Version ${version} of ${model} is what ${aliases.join(', ')} points to; move the alias first`,
        { model, version, aliases },
      );
    }
  }

  private async holders({ model, version }: VersionDoc): Promise<string[]> {
    return (await this.aliases.aliasesByVersion(model)).get(version) ?? [];
  }
}

function beingRead({ version: id, purpose, holder, until }: VersionLeaseDoc): VersionInUseError {
  const [model = '', version = ''] = id.split('/');
  const what = { load: 'loaded into memory', download: 'downloaded', archive: 'downloaded' };
  return new VersionInUseError(
    `Version ${version} of ${model} is being ${what[purpose]} by ${holder}; try again when that is done`,
    { model, version: Number(version), purpose, holder, until: until.toISOString() },
  );
}

function busy(model: string): VersionInUseError {
  return new VersionInUseError(
    `Model ${model} is being uploaded to; wait for the upload, then delete it`,
    { model },
  );
}
