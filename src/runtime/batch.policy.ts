import { type BatchingSettings } from '../models/model.doc';

/** How requests of one model are gathered, every setting filled in. */
export type BatchLimits = Required<BatchingSettings>;

export const DEFAULT_LIMITS: BatchLimits = { maxRows: 128, maxDelayMs: 0, maxQueue: 1024 };

/** Inputs of one call together: what is larger gains nothing from sharing. */
export const MAX_BATCH_BYTES = 16 * 1024 * 1024;
/** A call that takes longer has its rows computed as fast as they ever will be. */
const LONG_CALL_MS = 100;
/** Calls under this are cheaper computed together than handed to two executors. */
const SHORT_CALL_MS = 2;
/** Measured on an idle machine, needed on a busy one. */
const DEADLINE_MARGIN = 4;

export interface RowCapQuestion {
  readonly maxRows: number;
  /** Rows that wait and could share the call. */
  readonly waitingRows: number;
  /** Executors that could compute some of them now. */
  readonly idleExecutors: number;
  /** Until the first deadline among those that wait. */
  readonly remainingMs: number;
  /** Measured milliseconds of a call, by its rows. */
  readonly msPerBatch: Readonly<Record<string, number>>;
}

/**
 * How many rows the next call may have.
 *
 * No more than the setting allows, than finish well before the first deadline, or than are worth
 * waiting for; where several executors are idle and the call is long, each gets a share.
 */
export function decideRowCap(question: RowCapQuestion): number {
  const { maxRows, waitingRows, idleExecutors, remainingMs, msPerBatch } = question;
  const msPerRow = marginalMs(msPerBatch);
  if (msPerRow === null) return maxRows;
  const budgetMs = Math.min(LONG_CALL_MS, remainingMs / DEADLINE_MARGIN);
  const inTime = Math.max(1, Math.floor(budgetMs / msPerRow));
  const share =
    waitingRows * msPerRow > SHORT_CALL_MS ? Math.ceil(waitingRows / idleExecutors) : waitingRows;
  return Math.max(1, Math.min(maxRows, inTime, share));
}

/** What one row more costs, from the largest batch that was measured; null when none was. */
function marginalMs(msPerBatch: Readonly<Record<string, number>>): number | null {
  const [largest] = Object.keys(msPerBatch)
    .map(Number)
    .sort((a, b) => b - a);
  const ms = largest === undefined ? undefined : msPerBatch[String(largest)];
  return largest === undefined || ms === undefined ? null : Math.max(ms / largest, 1e-6);
}

/** What a request brings to a call that it shares. */
export interface Share {
  readonly rows: number;
  readonly bytes: number;
}

/** How many of the requests, in their order, go into one call; the first always does. */
export function countTaken(waiting: readonly Share[], maxRows: number): number {
  let [rows, bytes, taken] = [0, 0, 0];
  for (const share of waiting) {
    rows += share.rows;
    bytes += share.bytes;
    if (taken > 0 && (rows > maxRows || bytes > MAX_BATCH_BYTES)) break;
    taken++;
  }
  return taken;
}
