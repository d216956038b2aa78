import { type IncomingMessage, type ServerResponse } from 'node:http';

import { Inject, Injectable } from '@nestjs/common';

import { StoreError } from '../../common/errors';
import { type ModelRef } from '../../common/model-ref';
import { type Config } from '../../config/config';
import { CONFIG } from '../../config/config.tokens';
import { readUnpackedBody } from '../../http/packed-body';
import { whenGone } from '../../http/when-gone';
import { isImage } from '../../features/image-type';
import { Metrics } from '../../metrics/metrics';
import { assertServable } from '../../models/servable.policy';
import { type ResolvedVersion, VersionResolver } from '../../models/version-resolver.service';
import { readImages } from '../../predictions/image-inputs';
import { headersOf } from '../../predictions/predict-answers.service';
import { type Predicted, PredictService } from '../../predictions/predict.service';
import { HEAD_ROOM_BYTES } from '../../predictions/prediction-input';
import { encodeOutputs, type OipOutputs } from './oip-outputs';
import { OipReader } from './oip-reader.service';
import { BadOipRequestError, OipTimeoutError } from './oip.errors';
import { QueueTimeout } from './queue-timeout';
import { bringsOneTensor, type OipRequest, readOipRaw } from './read-oip';
import { JSON_LENGTH_HEADER, sendOip } from './send-oip';

/** Answers inference requests: the body in any of its forms, the native use case, the same record. */
@Injectable()
export class OipInference {
  constructor(
    private readonly resolver: VersionResolver,
    private readonly service: PredictService,
    private readonly reader: OipReader,
    private readonly metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  async answer(ref: ModelRef, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAtMs = performance.now();
    const jsonBytes = readJsonLength(request);
    const resolved = await this.resolver.resolve(ref);
    assertServable(resolved.version);
    const room = jsonBytes === null ? 0 : HEAD_ROOM_BYTES;
    const body = await readUnpackedBody(request, this.config.maxBodyBytes, room);
    const asked = await this.read(body, jsonBytes, resolved);
    const predicted = await this.predict(asked, resolved, startedAtMs, response);
    const { predictionId, answer } = predicted;
    const { model, version } = resolved.version;
    for (const [name, value] of Object.entries(headersOf({ predictionId, version }))) {
      response.setHeader(name, value);
    }
    const head = {
      model_name: model,
      model_version: String(version),
      ...(asked.callerId === undefined ? {} : { id: asked.callerId }),
      parameters: { prediction_id: predictionId },
    };
    const json = `${JSON.stringify(head).slice(0, -1)},"outputs":[${answer.texts.join(',')}]}`;
    await sendOip(request, response, json, answer.binary);
  }

  private async predict(
    { inputs, input, makeInput, rows, callerId, timeoutMs, ...asked }: OipRequest,
    resolved: ResolvedVersion,
    startedAtMs: number,
    response: ServerResponse,
  ): Promise<Predicted<OipOutputs>> {
    const { signature, labels } = resolved.version;
    const waiting = new QueueTimeout(whenGone(response), timeoutMs);
    try {
      return await this.service.predict({
        resolved,
        inputs,
        input,
        makeInput,
        rows,
        protocol: 'oip',
        callerId,
        tags: {},
        startedAtMs,
        encode: (outputs) => encodeOutputs(outputs, asked, signature, labels),
        signal: waiting.signal,
      });
    } catch (error) {
      const isLate = error instanceof StoreError && error.code === 'prediction_cancelled';
      if (!isLate || !waiting.isOver) throw error;
      throw new OipTimeoutError(
        `No executor took the request within its timeout of ${timeoutMs ?? 0} ms`,
        {},
        { cause: error },
      );
    } finally {
      waiting.close();
    }
  }

  private async read(
    body: Buffer,
    jsonBytes: number | null,
    { version }: ResolvedVersion,
  ): Promise<OipRequest> {
    const startMs = performance.now();
    const { signature } = version;
    if (jsonBytes === 0 && !bringsOneTensor(body, signature) && isImage(body)) {
      const images = await readImages([{ content: body }], version);
      this.metrics.decoded('image', performance.now() - startMs);
      return { ...images, outputs: null, binaryOutput: true };
    }
    const asked =
      jsonBytes === 0
        ? readOipRaw(body, signature)
        : await this.reader.read(body, { signature, jsonBytes });
    this.metrics.decoded(jsonBytes === null ? 'json' : 'binary', performance.now() - startMs);
    return asked;
  }
}

/**
 * Where the JSON part ends; null when it is the whole body, 0 when there is none.
 *
 * @throws BadOipRequestError
 */
function readJsonLength({ headers }: IncomingMessage): number | null {
  const given = headers[JSON_LENGTH_HEADER.toLowerCase()];
  if (given === undefined) return null;
  if (typeof given === 'string' && /^[0-9]{1,15}$/.test(given)) return Number(given);
  throw new BadOipRequestError(`${JSON_LENGTH_HEADER} must be a whole number of bytes`);
}
