import { type CountAndTime, type VersionFigures } from '../../metrics/version-figures';

/** A number of times, and the nanoseconds that all of them took. */
interface Duration {
  readonly count: number;
  readonly ns: number;
}

/** What one version did since the start of this process, in the terms of Triton. */
export interface ModelStatistics {
  readonly name: string;
  readonly version: string;
  /** Milliseconds since 1970; 0 for never. */
  readonly last_inference: number;
  /** Rows, and the calls that computed them: their ratio says how well batching does. */
  readonly inference_count: number;
  readonly execution_count: number;
  readonly inference_stats: Readonly<Record<string, Duration>>;
  /** Empty: calls are counted, not told apart by their size. */
  readonly batch_stats: readonly never[];
  readonly memory_usage: readonly {
    readonly type: 'CPU';
    readonly id: number;
    readonly byte_size: number;
  }[];
}

const NONE: Duration = { count: 0, ns: 0 };

/** @param memory bytes in each executor that has the version */
export function toStatistics(
  { model, version }: { readonly model: string; readonly version: number },
  figures: VersionFigures,
  memory: readonly { readonly id: number; readonly bytes: number }[],
): ModelStatistics {
  return {
    name: model,
    version: String(version),
    last_inference: figures.lastAt?.getTime() ?? 0,
    inference_count: figures.rows,
    execution_count: figures.calls,
    inference_stats: {
      success: toDuration(figures.total),
      fail: { count: figures.failures, ns: 0 },
      queue: toDuration(figures.queue),
      // Part of the call here: tensors go to the executor and back with it.
      compute_input: NONE,
      compute_infer: toDuration(figures.infer),
      compute_output: NONE,
      cache_hit: NONE,
      cache_miss: NONE,
    },
    batch_stats: [],
    memory_usage: memory.map(({ id, bytes }) => ({ type: 'CPU', id, byte_size: bytes })),
  };
}

function toDuration({ count, seconds }: CountAndTime): Duration {
  return { count, ns: Math.round(seconds * 1e9) };
}
