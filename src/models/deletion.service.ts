import { Injectable } from '@nestjs/common';

import { ArtifactStore } from '../artifacts/artifact.store';
import { AliasesService } from './aliases.service';
import { VersionInUseError, VersionNotReadyError } from './models.errors';
import { ModelsRepository } from './models.repository';
import { VersionResolver } from './version-resolver.service';
import { type VersionDoc } from './version.doc';
import { VERSION_STATES } from './version';
import { VersionsRepository } from './versions.repository';

const BATCH = 100;

/** Longer than any alias move takes between its pin and its entry in the log. */
const STALE_PIN_MS = 60_000;

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

  /** @throws VersionInUseError when any alias of the model points somewhere */
  async deleteModel(model: string): Promise<void> {
    await this.models.assertExists(model);
    const held = await this.aliases.aliasesByVersion(model);
    if (held.size > 0) {
      const aliases = [...held.values()].flat();
      throw new VersionInUseError(
        `Model ${model} is in use: remove its aliases first (${aliases.join(', ')})`,
        { model, aliases },
      );
    }
    const states = VERSION_STATES.filter((state) => state !== 'deleted');
    for (let after: number | undefined; ;) {
      const docs = await this.versions.list(
        model,
        { states, tags: [], metrics: [] },
        { limit: BATCH, sort: '-version', ...(after === undefined ? {} : { after }) },
      );
      for (const doc of docs) await this.remove(doc);
      after = docs.at(-1)?.version;
      if (docs.length < BATCH) break;
    }
    await this.models.markDeleted(model);
    this.resolver.forget(model);
  }

  /** Goes on with deletions that a crash cut off. @returns how many */
  async finishInterrupted(): Promise<number> {
    const docs = await this.versions.listDeleting();
    for (const doc of docs) await this.remove(doc);
    return docs.length;
  }

  private async remove(doc: VersionDoc): Promise<void> {
    const { _id, model, version, state } = doc;
    await this.releaseStalePins(doc);
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

  /** A crash between a pin and its move leaves a pin that nobody stands behind. */
  private async releaseStalePins(doc: VersionDoc): Promise<void> {
    const { pins, pinnedAt, model, version } = doc;
    if (pins.length === 0 || !pinnedAt || Date.now() - pinnedAt.getTime() < STALE_PIN_MS) return;
    const holders = await this.holders(doc);
    for (const alias of pins.filter((pin) => !holders.includes(pin))) {
      await this.versions.unpin(model, version, alias);
    }
  }
}
