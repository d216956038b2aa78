import { Injectable } from '@nestjs/common';

import { ArtifactStore } from '../artifacts/artifact.store';
import { AliasesService } from './aliases.service';
import { VersionInUseError, VersionNotReadyError } from './models.errors';
import { ModelsRepository } from './models.repository';
import { VersionResolver } from './version-resolver.service';
import { type VersionDoc } from './version.doc';
import { VERSION_STATES, type VersionState } from './version';
import { VersionsRepository } from './versions.repository';

const BATCH = 100;

/** States of versions whose upload is still at work. */
const UNDER_WAY: readonly VersionState[] = ['pending', 'verifying'];

/**
 * Deletes versions and models.
 *
 * A version that an alias holds stays. A deleted one leaves its document as a tombstone, so its
 * number is never given again and predictions that cite it can still say what they cite.
 */
@Injectable()
export class DeletionService {
  constructor(
    private readonly models: ModelsRepository,
    private readonly versions: VersionsRepository,
    private readonly aliases: AliasesService,
    private readonly artifacts: ArtifactStore,
    private readonly resolver: VersionResolver,
  ) {}

  /** @throws VersionInUseError naming the aliases that hold it */
  async deleteVersion(model: string, version: number): Promise<void> {
    const doc = await this.versions.get(model, version);
    await this.remove(doc);
    this.resolver.forget(model);
  }

  /** @throws VersionInUseError when any alias of the model points somewhere, or it is being uploaded to */
  async deleteModel(model: string): Promise<void> {
    await this.models.assertExists(model);
    await this.assertUnaliased(model);
    if ((await this.versionsIn(model, UNDER_WAY)).length > 0) throw busy(model);
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
    const states = VERSION_STATES.filter((state) => state !== 'deleted');
    for (const doc of await this.versionsIn(model, states)) {
      if (doc.version > lastVersion) continue;
      // An upload that had its number already: it finds out when it wants to become ready.
      await this.versions.markFailed(doc._id, doc.uploadId, {
        code: 'model_deleted',
        message: 'The model was deleted meanwhile',
      });
      await this.remove(doc);
    }
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

  /** Goes on with deletions that a crash cut off. @returns how many */
  async finishInterrupted(): Promise<number> {
    const docs = await this.versions.listDeleting();
    for (const doc of docs) await this.remove(doc);
    return docs.length;
  }

  private async remove(doc: VersionDoc): Promise<void> {
    const { _id, model, version, state } = doc;
    if (!(await this.versions.markDeleting(_id))) {
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
    await this.artifacts.remove(doc.files.map(({ ref }) => ref));
    await this.versions.markDeleted(_id);
  }

  private async holders({ model, version }: VersionDoc): Promise<string[]> {
    return (await this.aliases.aliasesByVersion(model)).get(version) ?? [];
  }
}

function busy(model: string): VersionInUseError {
  return new VersionInUseError(
    `Model ${model} is being uploaded to; wait for the upload, then delete it`,
    { model },
  );
}
