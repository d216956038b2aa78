import { Injectable } from '@nestjs/common';
import { type Request } from 'express';

import { type Fault, StoreError } from '../common/errors';
import { parseStrictJson } from '../http/strict-json';
import { FeedbackRepository } from './feedback.repository';
import { ndjsonLines } from './ndjson-lines';
import { assertNdjson, ndjsonBody } from './ndjson-request';
import { BadFeedbackError, type FeedbackLine, parseFeedbackLine } from './parse-feedback';

const GROUP_LINES = 500;
const MAX_LINE_BYTES = 512 * 1024;
/** Faults beyond these are only counted. */
const MAX_FAULTS = 100;

/** What became of feedback in bulk. */
export interface FeedbackCount {
  readonly accepted: number;
  readonly refused: number;
  /** Of the first refused lines; paths start with the number of the line. */
  readonly faults: readonly Fault[];
}

/** Takes feedback in bulk, line by line: memory does not grow with the body. */
@Injectable()
export class FeedbackIntake {
  constructor(private readonly feedback: FeedbackRepository) {}

  /**
   * Good lines count whatever stands around them. What was taken before a body breaks off stays;
   * the whole can be sent again.
   *
   * @throws BadFeedbackError when no line is usable; UnsupportedMediaTypeError, LineTooLongError
   */
  async take(request: Request): Promise<FeedbackCount> {
    assertNdjson(request);
    const faults: Fault[] = [];
    let [accepted, refused] = [0, 0];
    let group: FeedbackLine[] = [];
    const flush = async (): Promise<void> => {
      await this.feedback.giveAll(group);
      accepted += group.length;
      group = [];
    };
    for await (const { number, bytes } of ndjsonLines(ndjsonBody(request), MAX_LINE_BYTES)) {
      try {
        group.push(parseFeedbackLine(parseStrictJson(bytes)));
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        refused++;
        faults.push(...faultsOf(error, number).slice(0, MAX_FAULTS - faults.length));
      }
      if (group.length === GROUP_LINES) await flush();
    }
    await flush();
    if (accepted === 0) {
      throw new BadFeedbackError(
        refused === 0 ? 'The body has no lines' : 'No line of the body is usable',
        faults,
        { refused },
      );
    }
    return { accepted, refused, faults };
  }
}

function faultsOf({ message, details }: StoreError, line: number): Fault[] {
  const faults = (details['faults'] as readonly Fault[] | undefined) ?? [{ path: '', message }];
  return faults.map(({ path, message: why }) => ({
    path: path === '' ? `line ${line}` : `line ${line}: ${path}`,
    message: why,
  }));
}
