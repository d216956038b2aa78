import { Controller, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { type ModelRef, parseModelName, parseModelRef, parseVersion } from '../common/model-ref';
import { type Config } from '../config/config';
import { CONFIG } from '../config/config.tokens';
import { Idempotency, idempotencyKeyOf } from '../http/idempotency.service';
import { headersOf, type PredictAnswer, PredictAnswers } from './predict-answers.service';
import { PredictDocs, PredictVersionDocs } from './predictions.docs';
import { readRawTensorQuery } from './raw-tensor';
import { fingerprintOfSent, receive, type SentRequest } from './sent-request';

@ApiTags('predictions')
@Controller('api/models')
export class PredictController {
  constructor(
    private readonly answers: PredictAnswers,
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
    const query = readRawTensorQuery(request, request.query);
    const call = { ref, request, response, query };
    if (idempotencyKeyOf(request) === undefined) return await this.answers.answer(call);
    let said: string | undefined;
    const note = (sent: SentRequest): void => {
      said = fingerprintOfSent(sent);
    };
    return await this.idempotency.answer(request, response, {
      run: async () => {
        const body = await this.answers.answer({ ...call, note });
        return { status: 200, body, headers: headersOf(body) };
      },
      fingerprint: async () => {
        if (said === undefined) note(await receive(request, this.config.maxBodyBytes));
        return said ?? null;
      },
    });
  }
}
