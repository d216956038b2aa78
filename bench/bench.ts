import { type Result } from './report';
import { type BenchService } from './start-service';

/** How much is measured; `--quick` measures less of everything, to see that it runs. */
export interface Effort {
  readonly rounds: number;
  /** Layer sizes of the big dense model. */
  readonly bigModel: readonly number[];
  /** Layer sizes of the dense model that is loaded: large beside what any load needs for itself. */
  readonly loadedModel: readonly number[];
  /** How long one load of requests lasts, per contender and round. */
  readonly loadMs: number;
  /** Whether models whose test load takes seconds take part. */
  readonly slowModels: boolean;
  /** Records that queries are measured over. */
  readonly manyRecords: number;
  /** Only these models and numbers of connections, where a bench has several of them; null: all. */
  readonly models: readonly string[] | null;
  readonly connections: readonly number[] | null;
  /** Size of an upload that should not fit into memory. */
  readonly hugeBytes: number;
}

/**
 * Answers one or several questions about a running service: one that takes long gives each answer
 * as soon as it has it, so that what fails later takes nothing along.
 */
export type Bench = (
  service: BenchService,
  effort: Effort,
) => Promise<Result[]> | AsyncIterable<Result>;
