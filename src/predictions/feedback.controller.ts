import { Controller, HttpCode, Param, Post, Put, Req } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request } from 'express';

import { isModelName } from '../common/model-ref';
import { JsonBody } from '../http/json-body';
import { readQuery, textThat } from '../http/query';
import { type FeedbackAnswer, toFeedbackAnswer } from './feedback.answer';
import { FeedbackRepository } from './feedback.repository';
import { GiveAllFeedbackDocs, GiveCallersFeedbackDocs, GiveFeedbackDocs } from './feedback.docs';
import { type LineCount, takeLines } from './ndjson-intake';
import { parseFeedbackLine, parseTruth } from './parse-feedback';
import { isCallerId } from './predict-request';
import { parsePredictionId } from './prediction-id';
import { BadCallerIdError } from './predictions.errors';
import { PredictionsRepository } from './predictions.repository';

const CALLERS = {
  model: textThat(isModelName, 'a model name'),
  callerId: textThat(isCallerId, 'an id of a caller'),
};

const BULK_LIMITS = { maxLineBytes: 512 * 1024, groupLines: 500, groupBytes: 4 * 1024 * 1024 };

/** The feedback of one target, and how many predictions it is joined to already. */
export type GivenFeedback = FeedbackAnswer & {
  readonly predictionId?: string;
  readonly model?: string;
  readonly callerId?: string;
  /** False: kept until such a prediction is recorded. */
  readonly isKnown: boolean;
};

@ApiTags('feedback')
@Controller('api/predictions')
export class FeedbackController {
  constructor(
    private readonly feedback: FeedbackRepository,
    private readonly predictions: PredictionsRepository,
  ) {}

  @Put(':id/feedback')
  @GiveFeedbackDocs()
  async give(
    @Param('id') id: string,
    @Req() request: Request,
    @JsonBody() body: unknown,
  ): Promise<GivenFeedback> {
    readQuery(request, {});
    const predictionId = parsePredictionId(id);
    const doc = await this.feedback.give({ predictionId }, parseTruth(body));
    const isKnown = (await this.predictions.findInputSummary(predictionId)) !== null;
    return { predictionId, isKnown, ...toFeedbackAnswer(doc) };
  }

  @Put('feedback')
  @GiveCallersFeedbackDocs()
  async giveByCaller(@Req() request: Request, @JsonBody() body: unknown): Promise<GivenFeedback> {
    const { model, callerId } = readQuery(request, CALLERS);
    if (model === undefined || callerId === undefined) {
      throw new BadCallerIdError(
        'Feedback by the id of a caller needs ?model= and ?callerId=, since callers may use an id for several models',
      );
    }
    const doc = await this.feedback.give({ model, callerId }, parseTruth(body));
    const known = await this.predictions.list({ model, callerId }, { limit: 1 });
    return { model, callerId, isKnown: known.length > 0, ...toFeedbackAnswer(doc) };
  }

  @Post('feedback')
  @HttpCode(200)
  @GiveAllFeedbackDocs()
  async giveAll(@Req() request: Request): Promise<LineCount> {
    readQuery(request, {});
    return await takeLines(request, BULK_LIMITS, parseFeedbackLine, async (lines) => {
      await this.feedback.giveAll(lines);
    });
  }
}
