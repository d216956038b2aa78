import { Injectable } from '@nestjs/common';

import { type ModelRef } from '../../common/model-ref';
import { assertServable } from '../../models/servable.policy';
import { type VersionState } from '../../models/version';
import { VersionResolver } from '../../models/version-resolver.service';
import { toLoadable } from '../../models/version.doc';
import { type VersionInState, VersionsRepository } from '../../models/versions.repository';
import { ModelRuntime } from '../../runtime/model-runtime.service';

/** More versions than these are asked for by their model. */
export const MAX_LISTED = 10_000;

/** One version as the index of the repository has it. */
export interface IndexedModel {
  readonly name: string;
  readonly version: string;
  readonly state: 'READY' | 'UNAVAILABLE' | 'LOADING' | 'UNLOADING';
  readonly reason: string;
}

const STATE: Readonly<Record<VersionState, IndexedModel['state']>> = {
  pending: 'LOADING',
  verifying: 'LOADING',
  ready: 'READY',
  failed: 'UNAVAILABLE',
  quarantined: 'UNAVAILABLE',
  deleting: 'UNLOADING',
  deleted: 'UNAVAILABLE',
};

/**
 * The repository extension. Ready is whatever can be asked, in memory or not: loading and unloading
 * only change what the next request has to wait for.
 */
@Injectable()
export class OipRepository {
  constructor(
    private readonly resolver: VersionResolver,
    private readonly versions: VersionsRepository,
    private readonly runtime: ModelRuntime,
  ) {}

  async index(onlyReady: boolean): Promise<IndexedModel[]> {
    const listed = (await this.versions.listStates(MAX_LISTED)).map(toIndexed);
    return onlyReady ? listed.filter(({ state }) => state === 'READY') : listed;
  }

  /** Loads what a ref means now, and runs it once. */
  async load(ref: ModelRef): Promise<void> {
    const { version } = await this.resolver.resolve(ref);
    assertServable(version);
    await this.runtime.warm(toLoadable(version));
  }

  async unload(ref: ModelRef): Promise<void> {
    const { version } = await this.resolver.resolve(ref);
    await this.runtime.unload(version);
  }
}

function toIndexed({ model, version, state, format, failure }: VersionInState): IndexedModel {
  const isKept = state === 'ready' && format === 'opaque';
  return {
    name: model,
    version: String(version),
    state: isKept ? 'UNAVAILABLE' : STATE[state],
    reason: isKept ? 'kept as files, which nothing here can run' : (failure?.message ?? ''),
  };
}
