import { Injectable } from '@nestjs/common';

import { InputsStore } from './inputs.store';
import { type PredictionAnswer, toPredictionAnswer } from './prediction.answer';
import { toFeedbackAnswer } from './feedback.answer';
import { type InputDoc, type PredictionDoc } from './prediction.doc';
import { InputCorruptError } from './predictions.errors';
import { type PredictionFilter, PredictionsRepository } from './predictions.repository';

/** Inputs larger than this are left out of exports: a line with one would not be taken back. */
const MAX_CONTENT_BYTES = 8 * 1024 * 1024;

/** One record on its way out. */
export interface ExportedPrediction {
  readonly prediction: PredictionDoc;
  /** With values of outputs, and with what was said of it. */
  readonly answer: PredictionAnswer;
  /** The exact bytes of the input where they were asked for and are stored. */
  readonly content: Buffer | null;
  /** Why there are no bytes although they were asked for. */
  readonly contentFault?: string;
}

/**
 * Gives out records in the order in which they were made, as slowly as they are taken.
 *
 * An export can go on behind the last id that arrived: ids grow with time, and no record is changed.
 */
@Injectable()
export class PredictionExport {
  constructor(
    private readonly predictions: PredictionsRepository,
    private readonly inputs: InputsStore,
  ) {}

  async *read(
    filter: PredictionFilter,
    { after, withInputs }: { readonly after?: string; readonly withInputs: boolean },
  ): AsyncGenerator<ExportedPrediction> {
    for await (const joined of this.predictions.stream(filter, after, withInputs)) {
      const { prediction, input, feedback } = joined;
      yield {
        prediction,
        answer: {
          ...toPredictionAnswer(prediction, input?.erased ? { erased: input.erased } : {}),
          ...(feedback ? { feedback: toFeedbackAnswer(feedback) } : {}),
        },
        ...(withInputs ? await this.contentOf(input) : { content: null }),
      };
    }
  }

  /** One damaged input must not end an export of millions. */
  private async contentOf(
    input: InputDoc | null,
  ): Promise<Pick<ExportedPrediction, 'content' | 'contentFault'>> {
    if (!input) return { content: null, contentFault: 'input_missing' };
    if (input.erased) return { content: null, contentFault: 'input_erased' };
    if (input.bytes > MAX_CONTENT_BYTES) return { content: null, contentFault: 'input_too_large' };
    try {
      return { content: await this.inputs.contentOf(input) };
    } catch (error) {
      if (!(error instanceof InputCorruptError)) throw error;
      return { content: null, contentFault: error.code };
    }
  }
}
