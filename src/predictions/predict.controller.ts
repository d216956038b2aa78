import { Controller, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { type ModelRef, parseModelName, parseModelRef, parseVersion } from '../common/model-ref';
import { type Config } from '../config/config';
import { CONFIG } from '../config/config.tokens';
import { type Signature } from '../common/tensor';
import { Idempotency, idempotencyKeyOf } from '../http/idempotency.service';
import { readQuery, text } from '../http/query';
import { assertJson } from '../http/raw-body';
import { whenGone } from '../http/when-gone';
import { assertServable } from '../models/servable.policy';
import { Metrics } from '../metrics/metrics';
import { type ResolvedVersion, VersionResolver } from '../models/version-resolver.service';
import { type ImageInputs, readImages } from './image-inputs';
import { bringsImages, type ImageRequest } from './image-request';
import { outputsToJson, type OutputsJson } from './outputs-json';
import { parseCallerId, type PredictRequest } from './predict-request';
import { type Predicted, PredictService } from './predict.service';
import { bringsRawTensor, type RawTensorQuery, readRawTensor } from './raw-tensor';
import { RequestReader } from './request-reader.service';
import { fingerprintOfSent, receive, type SentRequest } from './sent-request';
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
    private readonly idempotency: Idempotency,
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
    return await this.answerOnce(parseModelRef(ref), request, response);
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
    return await this.answerOnce(ref, request, response);
  }

  /**
   * Under an `Idempotency-Key`, what was answered is answered again and not computed. A process
   * that dies between the record and its answer leaves a record nobody was told of.
   */
  private async answerOnce(
    ref: ModelRef,
    request: Request,
    response: Response,
  ): Promise<PredictAnswer> {
    if (idempotencyKeyOf(request) === undefined) return await this.answer(ref, request, response);
    let said: string | undefined;
    const note = (sent: SentRequest): void => {
      said = fingerprintOfSent(sent);
    };
    return await this.idempotency.answer(request, response, {
      run: async () => {
        const body = await this.answer(ref, request, response, note);
        return { status: 200, body, headers: headersOf(body) };
      },
      fingerprint: async () => {
        if (said === undefined) note(await receive(request, this.config.maxBodyBytes));
        return said ?? null;
      },
    });
  }

  private async answer(
    ref: ModelRef,
    request: Request,
    response: Response,
    note?: (sent: SentRequest) => void,
  ): Promise<PredictAnswer> {
    const startedAtMs = performance.now();
    const isRaw = bringsRawTensor(request);
    const query: RawTensorQuery = readQuery(request, isRaw ? { input: text, id: text } : {});
    if (!bringsImages(request) && !isRaw) assertJson(request);
    const resolved = await this.resolver.resolve(ref);
    assertServable(resolved.version);
    const { signature } = resolved.version;
    const sent = await receive(request, this.config.maxBodyBytes);
    note?.(sent);
    const { form, callerId, ...asked } =
      sent.kind === 'images'
        ? await this.readImages(sent.images, resolved)
        : isRaw
          ? this.readRaw(sent.body, query, signature)
          : await this.readTensors(sent.body, signature);
    const predicted = await this.service.predict({
      ...asked,
      resolved,
      protocol: 'native',
      ...(callerId === undefined ? {} : { callerId }),
      startedAtMs,
      encode: (outputs) => outputsToJson(outputs, signature, form, asked.rows),
      signal: whenGone(response),
    });
    const answer = toAnswer(resolved, predicted, callerId);
    for (const [name, value] of Object.entries(headersOf(answer))) response.setHeader(name, value);
    return answer;
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
    { images, ...asked }: ImageRequest,
    { version }: ResolvedVersion,
  ): Promise<PredictRequest & ImageInputs> {
    const startMs = performance.now();
    const inputs = await readImages(images, version);
    this.metrics.decoded('image', performance.now() - startMs);
    return { ...asked, ...inputs, form: 'rows', tags: {} };
  }
}

function headersOf({ predictionId, version }: PredictAnswer): Record<string, string> {
  return { 'Gridstow-Prediction-Id': predictionId, 'Gridstow-Version': String(version) };
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
