import { Injectable } from '@nestjs/common';

import { InputsStore } from './inputs.store';
import { type PredictionAnswer, toPredictionAnswer } from './prediction.answer';
import { toFeedbackAnswer } from './feedback.answer';
import { type ErasedNote, type Prediction, type StoredInput } from './prediction.doc';
import { InputCorruptError } from './predictions.errors';
import {
  type JoinedPrediction,
  type PredictionFilter,
  PredictionsRepository,
} from './predictions.repository';

/** Inputs larger than this are left out of exports: a line with one would not be taken back. */
const MAX_CONTENT_BYTES = 8 * 1024 * 1024;

/** Records that are looked at together: so many, or as soon as their outputs have so many bytes. */
const GROUP = { records: 200, bytes: 4 * 1024 * 1024 };

/** One record on its way out. */
export interface ExportedPrediction {
  readonly prediction: Prediction;
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
    const joined = this.predictions.stream(filter, after, withInputs);
    if (!withInputs) {
      for await (const group of groups(joined)) yield* await this.withoutContent(group);
      return;
    }
    for await (const record of joined) {
      const { input } = record;
      yield { ...toExported(record, input?.erased), ...(await this.contentOf(input)) };
    }
  }

  /** Which inputs were erased is asked for a group of records at once. */
  private async withoutContent(
    group: readonly JoinedPrediction[],
  ): Promise<readonly ExportedPrediction[]> {
    const digestOf = ({ prediction }: JoinedPrediction): string => prediction.input.digest;
    const erased = await this.inputs.erasedAmong(group.map(digestOf));
    return group.map((record) => ({
      ...toExported(record, erased.get(digestOf(record))),
      content: null,
    }));
  }

  /** One damaged input must not end an export of millions. */
  private async contentOf(
    input: StoredInput | null,
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

function toExported(
  { prediction, feedback }: JoinedPrediction,
  erased: ErasedNote | undefined,
): Pick<ExportedPrediction, 'prediction' | 'answer'> {
  return {
    prediction,
    answer: {
      ...toPredictionAnswer(prediction, erased ? { erased } : {}),
      ...(feedback ? { feedback: toFeedbackAnswer(feedback) } : {}),
    },
  };
}

async function* groups(
  records: AsyncIterable<JoinedPrediction>,
): AsyncGenerator<JoinedPrediction[]> {
  let group: JoinedPrediction[] = [];
  let bytes = 0;
  for await (const record of records) {
    group.push(record);
    for (const { data } of record.prediction.outputs ?? []) bytes += data?.length ?? 0;
    if (group.length < GROUP.records && bytes < GROUP.bytes) continue;
    yield group;
    [group, bytes] = [[], 0];
  }
  if (group.length > 0) yield group;
}
