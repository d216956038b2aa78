import { Controller, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { type ModelRef, parseModelName, parseModelRef, parseVersion } from '../common/model-ref';
import { type Config } from '../config/config';
import { CONFIG } from '../config/config.tokens';
import { type Signature } from '../common/tensor';
import { readQuery, text } from '../http/query';
import { assertJson, readBody } from '../http/raw-body';
import { whenGone } from '../http/when-gone';
import { assertServable } from '../models/servable.policy';
import { Metrics } from '../metrics/metrics';
import { type ResolvedVersion, VersionResolver } from '../models/version-resolver.service';
import { type ImageInputs, readImages } from './image-inputs';
import { bringsImages, readImageRequest } from './image-request';
import { outputsToJson, type OutputsJson } from './outputs-json';
import { parseCallerId, type PredictRequest } from './predict-request';
import { type Predicted, PredictService } from './predict.service';
import { bringsRawTensor, type RawTensorQuery, readRawTensor } from './raw-tensor';
import { RequestReader } from './request-reader.service';
import { PredictDocs, PredictVersionDocs } from './predictions.docs';

/** The answer of a native prediction; `outputs` and `predictions` as the request asked. */
export type PredictAnswer = OutputsJson &
  Pick<Predicted<unknown>, 'predictionId' | 'top' | 'timings' | 'rows' | 'batchRows'> & {
    readonly id?: string;
    readonly model: string;
    readonly version: number;
    readonly alias?: string;
  };

@ApiTags('predictions')
@Controller('api/models')
export class PredictController {
  constructor(
    private readonly resolver: VersionResolver,
    private readonly service: PredictService,
    private readonly reader: RequestReader,
    private readonly metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Post(':ref/predict')
  @HttpCode(200)
  @PredictDocs()
  async predict(
    @Param('ref') ref: string,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<PredictAnswer> {
    return await this.answer(parseModelRef(ref), request, response);
  }

  @Post(':model/versions/:version/predict')
  @HttpCode(200)
  @PredictVersionDocs()
  async predictVersion(
    @Param('model') model: string,
    @Param('version') version: string,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<PredictAnswer> {
    const ref = { model: parseModelName(model), version: parseVersion(version) };
    return await this.answer(ref, request, response);
  }

  private async answer(
    ref: ModelRef,
    request: Request,
    response: Response,
  ): Promise<PredictAnswer> {
    const startedAtMs = performance.now();
    const isRaw = bringsRawTensor(request);
    const query: RawTensorQuery = readQuery(request, isRaw ? { input: text, id: text } : {});
    const isImages = bringsImages(request);
    if (!isImages && !isRaw) assertJson(request);
    const resolved = await this.resolver.resolve(ref);
    assertServable(resolved.version);
    const { signature } = resolved.version;
    const { form, callerId, ...asked } = isImages
      ? await this.readImages(request, resolved)
      : isRaw
        ? this.readRaw(await readBody(request, this.config.maxBodyBytes), query, signature)
        : await this.readTensors(await readBody(request, this.config.maxBodyBytes), signature);
    const predicted = await this.service.predict({
      ...asked,
      resolved,
      protocol: 'native',
      ...(callerId === undefined ? {} : { callerId }),
      startedAtMs,
      encode: (outputs) => outputsToJson(outputs, signature, form, asked.rows),
      signal: whenGone(response),
    });
    response.setHeader('Gridstow-Prediction-Id', predicted.predictionId);
    response.setHeader('Gridstow-Version', resolved.version.version);
    return toAnswer(resolved, predicted, callerId);
  }

  private readRaw(body: Buffer, query: RawTensorQuery, signature: Signature): PredictRequest {
    const startMs = performance.now();
    const callerId = parseCallerId(query.id === undefined ? {} : { id: query.id });
    const asked = readRawTensor(body, { ...query, id: callerId }, signature);
    this.metrics.decoded('binary', performance.now() - startMs);
    return asked;
  }

  private async readTensors(body: Buffer, signature: Signature): Promise<PredictRequest> {
    const startMs = performance.now();
    const asked = await this.reader.read(body, signature);
    this.metrics.decoded('json', performance.now() - startMs);
    return asked;
  }

  private async readImages(
    request: Request,
    { version }: ResolvedVersion,
  ): Promise<PredictRequest & ImageInputs> {
    const { images, ...asked } = await readImageRequest(request, this.config.maxBodyBytes);
    const startMs = performance.now();
    const inputs = await readImages(images, version);
    this.metrics.decoded('image', performance.now() - startMs);
    return { ...asked, ...inputs, form: 'rows', tags: {} };
  }
}

function toAnswer(
  { version, alias }: ResolvedVersion,
  { predictionId, answer, top, timings, rows, batchRows }: Predicted<OutputsJson>,
  callerId: string | undefined,
): PredictAnswer {
  return {
    predictionId,
    ...(callerId === undefined ? {} : { id: callerId }),
    model: version.model,
    version: version.version,
    ...(alias === undefined ? {} : { alias }),
    ...answer,
    ...(top ? { top } : {}),
    timings,
    rows,
    batchRows,
  };
}
