import { type Vitals } from './executor-protocol';

const MIB = 1024 * 1024;
/** Node, an engine, and the largest intermediate results of ordinary models. */
const BASE_RSS_BYTES = 1024 * MIB;
/** Decoded weights, their copy in the engine, and what building the model leaves behind. */
const RSS_PER_LOADED_BYTE = 4;
/** A model in memory has a fixed number of tensors; so many more are a leak. */
const TENSORS_LEAKED = 1_000;

export interface RecycleQuestion {
  /** As of the executor's last answer. */
  readonly now: Vitals;
  /** As of the answer to its last load: what was there before any computation since. */
  readonly atLoad: Vitals;
  readonly loadedBytes: number;
}

/** Why an executor should be replaced by a fresh one once it is idle, or null. */
export function decideRecycle({ now, atLoad, loadedBytes }: RecycleQuestion): string | null {
  const allowed = BASE_RSS_BYTES + RSS_PER_LOADED_BYTE * loadedBytes;
  if (now.rssBytes > allowed) {
    return `it has grown to ${toMib(now.rssBytes)} MiB, ${toMib(allowed)} MiB are allowed`;
  }
  const leaked = now.tensors - atLoad.tensors;
  if (leaked > TENSORS_LEAKED) return `it has gained ${leaked} tensors since its last load`;
  return null;
}

function toMib(bytes: number): number {
  return Math.round(bytes / MIB);
}
