import { type Document } from 'mongodb';

/** A search over models or versions in any order; who asks has made sure of what stands in it. */
export interface SortedSearch {
  /** All of them hold. */
  readonly conditions: readonly Document[];
  readonly sort: Readonly<Record<string, 1 | -1>>;
  readonly limit: number;
}
