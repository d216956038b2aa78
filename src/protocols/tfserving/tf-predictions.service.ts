import { type IncomingMessage, type ServerResponse } from 'node:http';

import { Inject, Injectable } from '@nestjs/common';

import { type Config } from '../../config/config';
import { CONFIG } from '../../config/config.tokens';
import { readBody } from '../../http/raw-body';
import { whenGone } from '../../http/when-gone';
import { Metrics } from '../../metrics/metrics';
import { assertServable } from '../../models/servable.policy';
import { type PredictForm } from '../../predictions/outputs-json';
import { PredictService } from '../../predictions/predict.service';
import { type TfMethod, type TfModelSpec } from './tf-address';
import { type TfAnswer, writeClasses, writePredictions, writeRegressions } from './tf-answer';
import { TfRequestReader } from './tf-request-reader.service';
import { TfVersions } from './tf-versions.service';

/** Predictions in the forms of TensorFlow Serving, made and recorded as all others are. */
@Injectable()
export class TfPredictions {
  constructor(
    private readonly versions: TfVersions,
    private readonly reader: TfRequestReader,
    private readonly service: PredictService,
    private readonly metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Sets the headers of the response and gives its body. What type the request says it has, nobody asks. */
  async answer(
    method: TfMethod,
    spec: TfModelSpec,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<Buffer> {
    const startedAtMs = performance.now();
    const resolved = await this.versions.resolve(spec);
    const { version } = resolved;
    assertServable(version);
    const { signature, labels } = version;
    const body = await readBody(request, this.config.maxBodyBytes);
    const readAtMs = performance.now();
    const { form, ...asked } = await this.reader.read(body, { method, signature });
    this.metrics.decoded('json', performance.now() - readAtMs);
    const { rows } = asked;
    const { predictionId, answer } = await this.service.predict({
      ...asked,
      resolved,
      protocol: 'tfserving',
      tags: {},
      startedAtMs,
      encode: (outputs) => write(method, { outputs, signature, rows }, form, labels),
      signal: whenGone(response),
    });
    response.setHeader('Gridstow-Prediction-Id', predictionId);
    response.setHeader('Gridstow-Version', version.version);
    return answer;
  }
}

function write(
  method: TfMethod,
  answer: TfAnswer,
  form: PredictForm,
  labels: readonly string[] | null,
): Buffer {
  switch (method) {
    case 'predict':
      return writePredictions(answer, form);
    case 'classify':
      return writeClasses(answer, labels);
    case 'regress':
      return writeRegressions(answer);
  }
}
