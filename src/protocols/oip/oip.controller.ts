import { Controller, Get, Param, Post, Req, Res, UseFilters } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { type ModelRef, parseModelName, parseModelRef, parseVersion } from '../../common/model-ref';
import { SERVICE_VERSION } from '../../common/service-version';
import { Readiness } from '../../runtime/readiness.service';
import { type ModelConfig, type ModelMetadata } from './model-description';
import { OipErrorFilter } from './oip-error.filter';
import { OipInference } from './oip-infer.service';
import { OipModels } from './oip-models.service';
import {
  HealthLiveDocs,
  HealthReadyDocs,
  InferDocs,
  ModelConfigDocs,
  ModelMetadataDocs,
  ModelReadyDocs,
  ServerMetadataDocs,
} from './oip.docs';

/** What of Triton's extensions there is. */
const EXTENSIONS = [
  'binary_tensor_data',
  'classification',
  'model_configuration',
  'model_repository',
  'parameters',
  'statistics',
] as const;

/** Both ways to name a model: by a ref, or by its name and a number. */
const MODEL = ['models/:model', 'models/:model/versions/:version'] as const;
const at = (last: string): string[] => MODEL.map((path) => `${path}/${last}`);

/** The Open Inference Protocol v2 over REST, as `tritonclient` and KServe's clients speak it. */
@ApiTags('open inference protocol')
@Controller('v2')
@UseFilters(OipErrorFilter)
export class OipController {
  constructor(
    private readonly inference: OipInference,
    private readonly models: OipModels,
    private readonly readiness: Readiness,
  ) {}

  @Get()
  @ServerMetadataDocs()
  server(): { name: string; version: string; extensions: readonly string[] } {
    return { name: 'gridstow', version: SERVICE_VERSION, extensions: EXTENSIONS };
  }

  @Get('health/live')
  @HealthLiveDocs()
  async live(): Promise<{ live: true; ready: boolean }> {
    const { reasons } = await this.readiness.state();
    return { live: true, ready: reasons.length === 0 };
  }

  @Get('health/ready')
  @HealthReadyDocs()
  async ready(
    @Res({ passthrough: true }) response: Response,
  ): Promise<{ live: true; ready: boolean; error?: string }> {
    const { reasons } = await this.readiness.state();
    if (reasons.length === 0) return { live: true, ready: true };
    response.status(400);
    return { live: true, ready: false, error: reasons.join('; ') };
  }

  @Get(at('ready'))
  @ModelReadyDocs()
  async modelReady(
    @Param('model') model: string,
    @Param('version') version?: string,
  ): Promise<{ name: string; live: true; ready: true }> {
    const resolved = await this.models.assertReady(refOf(model, version));
    return { name: resolved.version.model, live: true, ready: true };
  }

  @Get([...MODEL])
  @ModelMetadataDocs()
  async metadata(
    @Param('model') model: string,
    @Param('version') version?: string,
  ): Promise<ModelMetadata> {
    return await this.models.metadata(refOf(model, version));
  }

  @Get(at('config'))
  @ModelConfigDocs()
  async config(
    @Param('model') model: string,
    @Param('version') version?: string,
  ): Promise<ModelConfig> {
    return await this.models.config(refOf(model, version));
  }

  @Post(at('infer'))
  @InferDocs()
  async infer(
    @Param('model') model: string,
    @Param('version') version: string | undefined,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    await this.inference.answer(refOf(model, version), request, response);
  }
}

/** @throws InvalidInputError */
export function refOf(model: string, version: string | undefined): ModelRef {
  if (version === undefined) return parseModelRef(model);
  return { model: parseModelName(model), version: parseVersion(version) };
}
