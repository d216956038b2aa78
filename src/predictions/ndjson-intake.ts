import { type Request } from 'express';

import { type Fault, InvalidInputError, StoreError } from '../common/errors';
import { parseStrictJson } from '../http/strict-json';
import { ndjsonLines } from './ndjson-lines';
import { assertNdjson, ndjsonBody } from './ndjson-request';

/** Faults beyond these are only counted. */
const MAX_FAULTS = 100;

/** A body in which no line is usable. */
export class NoUsableLineError extends InvalidInputError {
  override readonly code = 'no_usable_line';
}

/** What became of the lines of a body. */
export interface LineCount {
  readonly accepted: number;
  readonly refused: number;
  /** Of the first refused lines; paths start with the number of the line. */
  readonly faults: readonly Fault[];
}

export interface IntakeLimits {
  readonly maxLineBytes: number;
  readonly groupLines: number;
  readonly groupBytes: number;
}

/**
 * Takes NDJSON of any length, group by group.
 *
 * Good lines count whatever stands around them. What was taken before a body breaks off stays;
 * `store` has to bear the same lines again.
 *
 * @throws NoUsableLineError, UnsupportedMediaTypeError, LineTooLongError, BodyIncompleteError
 */
export async function takeLines<T>(
  request: Request,
  limits: IntakeLimits,
  parse: (line: unknown) => T,
  store: (items: readonly T[]) => Promise<void>,
): Promise<LineCount> {
  assertNdjson(request);
  const faults: Fault[] = [];
  let [accepted, refused, waitingBytes] = [0, 0, 0];
  let waiting: T[] = [];
  const flush = async (): Promise<void> => {
    await store(waiting);
    accepted += waiting.length;
    waiting = [];
    waitingBytes = 0;
  };
  for await (const { number, bytes } of ndjsonLines(ndjsonBody(request), limits.maxLineBytes)) {
    try {
      waiting.push(parse(parseStrictJson(bytes)));
      waitingBytes += bytes.length;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      refused++;
      faults.push(...faultsOf(error, number).slice(0, MAX_FAULTS - faults.length));
    }
    if (waiting.length === limits.groupLines || waitingBytes >= limits.groupBytes) await flush();
  }
  await flush();
  if (accepted === 0) {
    const message = refused === 0 ? 'The body has no lines' : 'No line of the body is usable';
    throw new NoUsableLineError(message, faults, { refused });
  }
  return { accepted, refused, faults };
}

function faultsOf({ message, details }: StoreError, line: number): Fault[] {
  const faults = (details['faults'] as readonly Fault[] | undefined) ?? [{ path: '', message }];
  return faults.map(({ path, message: why }) => ({
    path: path === '' ? `line ${line}` : `line ${line}: ${path}`,
    message: why,
  }));
}
