import { Controller, Get, HttpCode, Param, Post, Req } from '@nestjs/common';
import { type Request } from 'express';

import { parseModelName, parseVersion } from '../common/model-ref';
import { readQuery } from '../http/query';
import { assertServable } from '../models/servable.policy';
import { VersionResolver } from '../models/version-resolver.service';
import { toLoadable } from '../models/version.doc';
import { type PoolState } from './executor-pool';
import { type EngineDescription, ModelRuntime } from './model-runtime.service';
import { DescribeRuntimeDocs, LoadVersionDocs, UnloadVersionDocs } from './runtime.docs';

/** What is in the executors' memory, and asking for it to change. */
@Controller('api')
export class RuntimeController {
  constructor(
    private readonly runtime: ModelRuntime,
    private readonly resolver: VersionResolver,
  ) {}

  @Get('runtime')
  @DescribeRuntimeDocs()
  describe(@Req() request: Request): { engine: EngineDescription } & PoolState {
    readQuery(request, {});
    return { engine: this.runtime.describe(), ...this.runtime.state() };
  }

  @Post('models/:model/versions/:version/load')
  @HttpCode(200)
  @LoadVersionDocs()
  async load(
    @Param('model') model: string,
    @Param('version') version: string,
    @Req() request: Request,
  ): Promise<VersionInMemory> {
    readQuery(request, {});
    const ref = { model: parseModelName(model), version: parseVersion(version) };
    const resolved = await this.resolver.resolve(ref);
    assertServable(resolved.version);
    await this.runtime.warm(toLoadable(resolved.version));
    return this.inMemory(ref);
  }

  @Post('models/:model/versions/:version/unload')
  @HttpCode(200)
  @UnloadVersionDocs()
  async unload(
    @Param('model') model: string,
    @Param('version') version: string,
    @Req() request: Request,
  ): Promise<VersionInMemory> {
    readQuery(request, {});
    const ref = { model: parseModelName(model), version: parseVersion(version) };
    await this.resolver.resolve(ref);
    await this.runtime.unload(ref);
    return this.inMemory(ref);
  }

  private inMemory(ref: { model: string; version: number }): VersionInMemory {
    const executors = this.runtime
      .state()
      .executors.filter(({ versions }) =>
        versions.some(({ model, version }) => model === ref.model && version === ref.version),
      )
      .map(({ id }) => id);
    return { ...ref, loaded: executors.length > 0, executors };
  }
}

/** Which executors have a version in memory. */
interface VersionInMemory {
  readonly model: string;
  readonly version: number;
  readonly loaded: boolean;
  readonly executors: readonly number[];
}
