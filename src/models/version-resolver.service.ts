import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';

import { type ModelRef } from '../common/model-ref';
import { asStoreError } from '../mongo/mongo-failure';
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

/** How long the last resolution stands in for one that the database cannot give. */
const OUTAGE_MS = 3_600_000;

/**
 * From a model ref to the version that answers.
 *
 * Resolutions are kept for a second, so that traffic does not ask the database for each request;
 * moves made on this replica are seen by the very next request. While the database does not answer,
 * what was resolved last goes on answering: models in memory need nothing else, and whether a
 * prediction that cannot be recorded may be given out is not decided here.
 */
@Injectable()
export class VersionResolver {
  private readonly resolved = new LRUCache<string, Promise<ResolvedVersion>>({
    max: 10_000,
    ttl: TTL_MS,
  });
  private readonly last = new LRUCache<string, ResolvedVersion>({ max: 10_000, ttl: OUTAGE_MS });
  /** What the database could not be asked for the last time: nobody waits for it again. */
  private readonly unanswered = new Set<string>();
  /** Made here: what was looked up before one of them says nothing of the time after it. */
  private changes = 0;

  constructor(
    private readonly models: ModelsRepository,
    private readonly versions: VersionsRepository,
    private readonly moves: AliasMovesRepository,
  ) {}

  /** @throws ModelNotFoundError, AliasNotFoundError, VersionNotFoundError, VersionNotReadyError */
  async resolve(ref: ModelRef): Promise<ResolvedVersion> {
    const key = 'alias' in ref ? `${ref.model}@${ref.alias}` : `${ref.model}/${ref.version}`;
    const known = this.resolved.get(key) ?? this.refresh(key, ref);
    const last = this.unanswered.has(key) ? this.last.get(key) : undefined;
    return last ?? (await known);
  }

  private refresh(key: string, ref: ModelRef): Promise<ResolvedVersion> {
    const { changes } = this;
    const looking = this.lookUp(ref).then(
      (found) => {
        this.unanswered.delete(key);
        if (this.changes === changes) this.last.set(key, found);
        return found;
      },
      (error: unknown) => {
        const isOutage = asStoreError(error) !== null;
        const last = isOutage ? this.last.get(key) : undefined;
        if (last) this.unanswered.add(key);
        else this.unanswered.delete(key);
        if (!isOutage) this.last.delete(key);
        // A failure is not remembered: the next request may find what was just made.
        if (this.resolved.peek(key) === looking) this.resolved.delete(key);
        if (last) return last;
        throw error;
      },
    );
    this.resolved.set(key, looking);
    // Whoever is answered from what was resolved last does not wait for this.
    looking.catch(() => undefined);
    return looking;
  }

  /** Drops what is known of a model, after a change made here. */
  forget(model: string): void {
    this.changes++;
    const isOfModel = (key: string): boolean =>
      key.startsWith(`${model}@`) || key.startsWith(`${model}/`);
    for (const key of this.resolved.keys()) if (isOfModel(key)) this.resolved.delete(key);
    for (const key of this.last.keys()) if (isOfModel(key)) this.last.delete(key);
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
