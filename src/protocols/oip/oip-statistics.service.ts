import { Injectable } from '@nestjs/common';

import { DEFAULT_ALIAS, type ModelRef } from '../../common/model-ref';
import { Metrics } from '../../metrics/metrics';
import { ModelsRepository } from '../../models/models.repository';
import { VersionResolver } from '../../models/version-resolver.service';
import { VersionsRepository } from '../../models/versions.repository';
import { ModelRuntime } from '../../runtime/model-runtime.service';
import { type ModelStatistics, toStatistics } from './model-statistics';
import { MAX_LISTED } from './oip-repository.service';

interface OneVersion {
  readonly model: string;
  readonly version: number;
}

/** What versions did since this process started. */
@Injectable()
export class OipStatistics {
  constructor(
    private readonly resolver: VersionResolver,
    private readonly models: ModelsRepository,
    private readonly versions: VersionsRepository,
    private readonly runtime: ModelRuntime,
    private readonly metrics: Metrics,
  ) {}

  /** Of every version that is ready: of all models, of one, or the one that a ref means. */
  async of(ref: ModelRef | null): Promise<{ model_stats: ModelStatistics[] }> {
    const versions = await this.versionsOf(ref);
    const figures = await this.metrics.figuresOf(versions);
    const { executors } = this.runtime.state();
    return {
      model_stats: versions.flatMap((one, at) => {
        const counted = figures[at];
        const memory = executors.flatMap(({ id, versions: loaded }) =>
          loaded
            .filter(({ model, version }) => model === one.model && version === one.version)
            .map(({ bytes }) => ({ id, bytes })),
        );
        return counted ? [toStatistics(one, counted, memory)] : [];
      }),
    };
  }

  private async versionsOf(ref: ModelRef | null): Promise<OneVersion[]> {
    const isOne = ref !== null && !('alias' in ref && ref.alias === DEFAULT_ALIAS);
    if (isOne) {
      const { version } = await this.resolver.resolve(ref);
      return [version];
    }
    if (ref) await this.models.assertExists(ref.model);
    const found = await this.versions.listStates(MAX_LISTED, ref?.model);
    return found.filter(({ state }) => state === 'ready');
  }
}
