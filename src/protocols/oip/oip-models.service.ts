import { Injectable } from '@nestjs/common';

import { type ModelRef } from '../../common/model-ref';
import { assertServable } from '../../models/servable.policy';
import { type ResolvedVersion, VersionResolver } from '../../models/version-resolver.service';
import { toLoadable } from '../../models/version.doc';
import { VersionsRepository } from '../../models/versions.repository';
import { ModelRuntime } from '../../runtime/model-runtime.service';
import { EngineMissingError } from '../../runtime/runtime.errors';
import { type ModelConfig, type ModelMetadata, toConfig, toMetadata } from './model-description';

/** What the protocol says of models: whether one can be asked, and what it takes and gives. */
@Injectable()
export class OipModels {
  constructor(
    private readonly resolver: VersionResolver,
    private readonly versions: VersionsRepository,
    private readonly runtime: ModelRuntime,
  ) {}

  /**
   * Ready is what can be asked: a version that is not in memory is loaded by its first request.
   *
   * @throws StoreError that says why it is not
   */
  async assertReady(ref: ModelRef): Promise<ResolvedVersion> {
    const resolved = await this.servable(ref);
    const { model, version } = resolved.version;
    if (!this.runtime.canRun(toLoadable(resolved.version))) {
      throw new EngineMissingError(`No engine here runs version ${version} of ${model}`, {
        model,
        version,
      });
    }
    return resolved;
  }

  async metadata(ref: ModelRef): Promise<ModelMetadata> {
    const resolved = await this.servable(ref);
    return toMetadata(resolved, await this.versions.listReadyNumbers(ref.model));
  }

  async config(ref: ModelRef): Promise<ModelConfig> {
    return toConfig(await this.servable(ref));
  }

  private async servable(ref: ModelRef): Promise<ResolvedVersion> {
    const resolved = await this.resolver.resolve(ref);
    assertServable(resolved.version);
    return resolved;
  }
}
