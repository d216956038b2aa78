import { Injectable } from '@nestjs/common';

import { toFeedbackAnswer } from './feedback.answer';
import { InputsStore } from './inputs.store';
import { type PredictionAnswer, toPredictionAnswer } from './prediction.answer';
import { type InputSummary, type Prediction } from './prediction.doc';
import { InputMissingError, PredictionNotFoundError } from './predictions.errors';
import { type PredictionFilter, PredictionsRepository } from './predictions.repository';
import { decodeTensorFile } from './tensor-file';

/** Inputs larger than this are shown without values: as JSON they would take ten times that. */
const MAX_JOINED_BYTES = 8 * 1024 * 1024;

/** Reads records together with what they were made from. */
@Injectable()
export class PredictionRecords {
  constructor(
    private readonly predictions: PredictionsRepository,
    private readonly inputs: InputsStore,
  ) {}

  /**
   * A record with the values of its input and outputs, and with what was said of it. An input that
   * is missing, erased or too large to show leaves its values out.
   *
   * @throws PredictionNotFoundError, InputCorruptError
   */
  async get(id: string): Promise<PredictionAnswer> {
    const found = await this.predictions.findJoined(id);
    if (!found) throw notFound(id);
    const { prediction, input, feedback } = found;
    const said = feedback ? { feedback: toFeedbackAnswer(feedback) } : {};
    if (input?.erased) {
      return { ...toPredictionAnswer(prediction, { erased: input.erased }), ...said };
    }
    if (input?.kind !== 'tensors' || input.bytes > MAX_JOINED_BYTES) {
      return { ...toPredictionAnswer(prediction), ...said };
    }
    const values = decodeTensorFile(await this.inputs.contentOf(input));
    return { ...toPredictionAnswer(prediction, { values }), ...said };
  }

  /**
   * A record together with the stored bytes of its input; null when they were erased.
   *
   * @throws PredictionNotFoundError, InputMissingError, InputCorruptError
   */
  async getWithContent(
    id: string,
  ): Promise<{ readonly prediction: PredictionAnswer; readonly content: Buffer | null }> {
    const found = await this.predictions.findJoined(id);
    if (!found) throw notFound(id);
    const { prediction, input } = found;
    if (!input) {
      const { digest } = prediction.input;
      throw new InputMissingError('The bytes of this input are not stored', { digest });
    }
    if (input.erased) {
      return {
        prediction: toPredictionAnswer(prediction, { erased: input.erased }),
        content: null,
      };
    }
    const content = await this.inputs.contentOf(input);
    return { prediction: toPredictionAnswer(prediction), content };
  }

  /** Newest first, without values. */
  async list(
    filter: PredictionFilter,
    page: { readonly limit: number; readonly before?: string },
  ): Promise<PredictionAnswer[]> {
    return await this.answersOf(await this.predictions.list(filter, page));
  }

  /** What came through the image service, newest first, with the values of outputs that are small. */
  async listImages(
    filter: Pick<PredictionFilter, 'model'>,
    page: { readonly limit: number; readonly before?: string },
  ): Promise<PredictionAnswer[]> {
    const found = await this.predictions.listWithOutputs({ ...filter, protocol: 'image' }, page);
    return await this.answersOf(found);
  }

  /** @throws PredictionNotFoundError */
  async getInputSummary(id: string): Promise<InputSummary> {
    const input = await this.predictions.findInputSummary(id);
    if (!input) throw notFound(id);
    return input;
  }

  /** @throws InputMissingError, InputErasedError */
  async assertStored(digest: string): Promise<void> {
    await this.inputs.assertStored(digest);
  }

  /** @throws InputMissingError, InputErasedError, InputCorruptError */
  async readInput(digest: string): Promise<Buffer> {
    return await this.inputs.read(digest);
  }

  private async answersOf(predictions: readonly Prediction[]): Promise<PredictionAnswer[]> {
    const erased = await this.inputs.erasedAmong(predictions.map(({ input }) => input.digest));
    return predictions.map((prediction) => {
      const note = erased.get(prediction.input.digest);
      return toPredictionAnswer(prediction, note ? { erased: note } : {});
    });
  }
}

function notFound(predictionId: string): PredictionNotFoundError {
  return new PredictionNotFoundError(`There is no prediction ${predictionId}`, { predictionId });
}
