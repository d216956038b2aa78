import { type IncomingMessage, type ServerResponse } from 'node:http';

import { Inject, Injectable } from '@nestjs/common';

import { type ModelRef } from '../common/model-ref';
import { type Signature } from '../common/tensor';
import { type Config } from '../config/config';
import { CONFIG } from '../config/config.tokens';
import { assertJson } from '../http/raw-body';
import { whenGone } from '../http/when-gone';
import { Metrics } from '../metrics/metrics';
import { assertServable } from '../models/servable.policy';
import { type ResolvedVersion, VersionResolver } from '../models/version-resolver.service';
import { type ImageInputs, readImages } from './image-inputs';
import { bringsImages, type ImageRequest } from './image-request';
import { outputsToJson, type OutputsJson } from './outputs-json';
import { parseCallerId, type PredictRequest } from './predict-request';
import { type Predicted, PredictService } from './predict.service';
import { bringsRawTensor, type RawTensorQuery, readRawTensor } from './raw-tensor';
import { RequestReader } from './request-reader.service';
import { receive, type SentRequest } from './sent-request';

/** The answer of a native prediction; `outputs` and `predictions` as the request asked. */
export type PredictAnswer = OutputsJson &
  Pick<Predicted<unknown>, 'predictionId' | 'top' | 'timings' | 'rows' | 'batchRows'> & {
    readonly id?: string | undefined;
    readonly model: string;
    readonly version: number;
    readonly alias?: string | undefined;
  };

/** One request for a prediction, by whichever way it came. */
export interface PredictCall {
  readonly ref: ModelRef;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What stands in its address beside a body of raw numbers. */
  readonly query: RawTensorQuery;
  /** Told what was sent, before it is looked into. */
  readonly note?: (sent: SentRequest) => void;
}

/** Answers native predictions: reads the body in the form that it says it has, predicts, and replies. */
@Injectable()
export class PredictAnswers {
  constructor(
    private readonly resolver: VersionResolver,
    private readonly service: PredictService,
    private readonly reader: RequestReader,
    private readonly metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Sets the headers of the response and leaves its body to the caller. */
  async answer({ ref, request, response, query, note }: PredictCall): Promise<PredictAnswer> {
    const startedAtMs = performance.now();
    const isRaw = bringsRawTensor(request);
    if (!bringsImages(request) && !isRaw) assertJson(request);
    const resolved = await this.resolver.resolve(ref);
    assertServable(resolved.version);
    const { signature } = resolved.version;
    const sent = await receive(request, this.config.maxBodyBytes);
    note?.(sent);
    const asked: PredictRequest =
      sent.kind === 'images'
        ? await this.readImages(sent.images, resolved)
        : isRaw
          ? this.readRaw(sent.body, query, signature)
          : await this.readTensors(sent.body, signature);
    const { inputs, input, makeInput, rows, callerId, tags, form } = asked;
    const predicted = await this.service.predict({
      resolved,
      inputs,
      input,
      makeInput,
      rows,
      protocol: 'native',
      callerId,
      tags,
      startedAtMs,
      encode: (outputs) => outputsToJson(outputs, signature, form, rows),
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

/** What of an answer stands in its headers, too. */
export function headersOf({
  predictionId,
  version,
}: Pick<PredictAnswer, 'predictionId' | 'version'>): Record<string, string> {
  return { 'Gridstow-Prediction-Id': predictionId, 'Gridstow-Version': String(version) };
}

function toAnswer(
  { version, alias }: ResolvedVersion,
  { predictionId, answer, top, timings, rows, batchRows }: Predicted<OutputsJson>,
  id: string | undefined,
): PredictAnswer {
  const { model, version: number } = version;
  const { predictions, outputs } = answer;
  return {
    predictionId,
    id,
    model,
    version: number,
    alias,
    predictions,
    outputs,
    top,
    timings,
    rows,
    batchRows,
  };
}
