import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';

import { type ModelRef } from '../common/model-ref';
import { AliasMovesRepository } from './alias-moves.repository';
import { type BatchingSettings } from './model.doc';
import { AliasNotFoundError, ModelNotFoundError, VersionNotReadyError } from './models.errors';
import { ModelsRepository } from './models.repository';
import { type RecordingSample, toSample } from './recording';
import { type VersionDoc } from './version.doc';
import { VersionsRepository } from './versions.repository';

/** What a request is answered with: fixed at its start, whatever moves meanwhile. */
export interface ResolvedVersion {
  readonly version: VersionDoc;
  readonly alias?: string;
  /** The model's own wish; the service's setting otherwise. */
  readonly recording?: RecordingSample;
  /** How the model wants its requests gathered. */
  readonly batching?: BatchingSettings;
}

/** How stale a resolution may be. Other replicas' moves are seen within this time. */
const TTL_MS = 1_000;

/**
 * From a model ref to the version that answers.
 *
 * Resolutions are kept for a second, so that traffic does not ask the database for each request;
 * moves made on this replica are seen by the very next request.
 */
@Injectable()
export class VersionResolver {
  private readonly resolved = new LRUCache<string, Promise<ResolvedVersion>>({
    max: 10_000,
    ttl: TTL_MS,
  });

  constructor(
    private readonly models: ModelsRepository,
    private readonly versions: VersionsRepository,
    private readonly moves: AliasMovesRepository,
  ) {}

  /** @throws ModelNotFoundError, AliasNotFoundError, VersionNotFoundError, VersionNotReadyError */
  async resolve(ref: ModelRef): Promise<ResolvedVersion> {
    const key = 'alias' in ref ? `${ref.model}@${ref.alias}` : `${ref.model}/${ref.version}`;
    const known = this.resolved.get(key);
    if (known) return await known;
    const looked = this.lookUp(ref);
    this.resolved.set(key, looked);
    // A failure is not remembered: the next request may find what was just made.
    looked.catch(() => {
      if (this.resolved.peek(key) === looked) this.resolved.delete(key);
    });
    return await looked;
  }

  /** Drops what is known of a model, after a change made here. */
  forget(model: string): void {
    for (const key of this.resolved.keys()) {
      if (key.startsWith(`${model}@`) || key.startsWith(`${model}/`)) this.resolved.delete(key);
    }
  }

  private async lookUp(ref: ModelRef): Promise<ResolvedVersion> {
    const { model } = ref;
    const [modelDoc, version] = await Promise.all([
      this.models.find(model),
      'version' in ref ? ref.version : this.pointer(model, ref.alias),
    ]);
    if (!modelDoc) throw new ModelNotFoundError(`There is no model ${model}`, { model });
    if (version === null) {
      const alias = 'alias' in ref ? ref.alias : '';
      throw new AliasNotFoundError(`Model ${model} has no alias ${alias}`, { model, alias });
    }
    const doc = await this.versions.get(model, version);
    if (doc.state !== 'ready') {
      throw new VersionNotReadyError(`Version ${version} of ${model} is ${doc.state}, not ready`, {
        model,
        version,
        state: doc.state,
      });
    }
    return {
      version: doc,
      ...('alias' in ref ? { alias: ref.alias } : {}),
      ...(modelDoc.recording ? { recording: toSample(modelDoc.recording) } : {}),
      ...(modelDoc.batching ? { batching: modelDoc.batching } : {}),
    };
  }

  private async pointer(model: string, alias: string): Promise<number | null> {
    return (await this.moves.findNewest(model, alias))?.version ?? null;
  }
}
