import {
  Controller,
  Get,
  Header,
  HttpCode,
  Inject,
  Post,
  Req,
  Res,
  UseFilters,
} from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { InvalidInputError, UnavailableError } from '../../common/errors';
import { type ModelRef, parseModelRef } from '../../common/model-ref';
import { SERVICE_VERSION } from '../../common/service-version';
import { type Config } from '../../config/config';
import { CONFIG } from '../../config/config.tokens';
import { readQuery, text } from '../../http/query';
import { readBody } from '../../http/raw-body';
import { whenGone } from '../../http/when-gone';
import { assertServable } from '../../models/servable.policy';
import { VersionResolver } from '../../models/version-resolver.service';
import { outputsToJson, type OutputsJson } from '../../predictions/outputs-json';
import { PredictService } from '../../predictions/predict.service';
import { Readiness } from '../../runtime/readiness.service';
import { MlflowErrorFilter } from './mlflow-error.filter';
import { InvocationsDocs, describeMlflow } from './mlflow.docs';
import { ScoringReader } from './scoring-reader.service';

/** The MLflow scoring server: one route that predicts, recorded like all predictions. */
@ApiTags('mlflow')
@Controller()
@UseFilters(MlflowErrorFilter)
export class ScoringController {
  constructor(
    private readonly resolver: VersionResolver,
    private readonly service: PredictService,
    private readonly reader: ScoringReader,
    private readonly readiness: Readiness,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Post('invocations')
  @HttpCode(200)
  @InvocationsDocs()
  async score(
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<{ predictions: unknown }> {
    const startedAtMs = performance.now();
    const resolved = await this.resolver.resolve(this.refOf(request));
    assertServable(resolved.version);
    const { signature } = resolved.version;
    const body = await readBody(request, this.config.maxBodyBytes);
    const { inputs, input, rows, form } = await this.reader.read(body, signature);
    const { predictionId, answer } = await this.service.predict({
      resolved,
      inputs,
      input,
      rows,
      protocol: 'mlflow',
      tags: {},
      startedAtMs,
      encode: (outputs) => outputsToJson(outputs, signature, form, rows),
      signal: whenGone(response),
    });
    response.setHeader('Gridstow-Prediction-Id', predictionId);
    response.setHeader('Gridstow-Version', resolved.version.version);
    return { predictions: predictionsOf(answer) };
  }

  @Get(['ping', 'health'])
  @Header('Content-Type', 'application/json')
  @describeMlflow('Whether predictions can be made', [])
  async ping(): Promise<string> {
    const { reasons } = await this.readiness.state();
    if (reasons.length > 0) throw new UnavailableError(reasons.join('; '));
    return '\n';
  }

  /** Its own: clients that go by releases of MLflow take it for an early one, and ask for less. */
  @Get('version')
  @Header('Content-Type', 'text/plain; charset=utf-8')
  @describeMlflow('The release of this service', [])
  version(): string {
    return SERVICE_VERSION;
  }

  /** @throws InvalidInputError when neither the request nor the settings name a model */
  private refOf(request: Request): ModelRef {
    const ref = readQuery(request, { model: text }).model ?? this.config.defaultModel;
    if (ref === undefined) {
      throw new InvalidInputError('Name a model with ?model=, or set GRIDSTOW_DEFAULT_MODEL');
    }
    return parseModelRef(ref);
  }
}

/** Row by row where rows were sent; whole tensors otherwise, the only one without its name. */
function predictionsOf({ predictions, outputs = {} }: OutputsJson): unknown {
  if (predictions) return predictions;
  const [only, ...others] = Object.values(outputs);
  return others.length === 0 ? only : outputs;
}
