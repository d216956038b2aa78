import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

import { foreignNames } from './foreign-names';
import { countOf, timeOf, type VersionFigures } from './version-figures';

/** From a fifth of a millisecond, which a small model takes, to the deadline of a prediction. */
const SECONDS = [
  0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30,
];
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024];

export interface VersionLabels {
  readonly model: string;
  readonly version: number;
}

/** How long the parts of an answered prediction took, in milliseconds. */
export interface PredictionTimes {
  readonly queueMs: number;
  readonly inferMs: number;
  readonly recordMs: number;
  readonly totalMs: number;
}

/** What is in memory at the moment of a scrape. */
export interface RuntimeLevels {
  readonly budgetBytes: number;
  readonly waiting: ReadonlyMap<string, number>;
  readonly executors: readonly {
    readonly id: number;
    readonly engine: string;
    readonly up: boolean;
    readonly restarts: number;
    readonly versions: number;
    readonly bytes: number;
    readonly tensors: number;
    readonly rssBytes: number;
  }[];
  /** Versions that `live` points at and that no executor has. */
  readonly liveMissing: number;
}

/** What became of predictions and their records since the start, at the moment of a scrape. */
export interface RecordingLevels {
  readonly predicted: number;
  readonly recorded: number;
  readonly dropped: number;
  readonly unrecorded: number;
  readonly replayed: number;
  readonly removed: number;
  readonly waiting: number;
}

/**
 * Every figure of the service, in the form that Prometheus reads.
 *
 * Counting never fails and never waits. Labels hold what exists (models, versions, routes), never
 * what a caller wrote, so their number is bounded.
 */
export class Metrics {
  private readonly registry = new Registry();
  /** When each version last answered. */
  private readonly lastAt = new Map<string, Date>();
  private levels: (() => RuntimeLevels) | undefined;
  private recording: (() => RecordingLevels) | undefined;

  private readonly predictions = this.counter(
    'gridstow_predictions_total',
    'Predictions answered',
    ['model', 'version', 'protocol'],
  );
  private readonly failures = this.counter(
    'gridstow_prediction_failures_total',
    'Predictions that failed after their input was understood, by error code',
    ['model', 'version', 'protocol', 'code'],
  );
  private readonly rows = this.counter('gridstow_predicted_rows_total', 'Rows answered', [
    'model',
    'version',
  ]);
  private readonly total = this.seconds(
    'gridstow_prediction_seconds',
    'From the arrival of a request to its answer',
    ['model', 'version'],
  );
  private readonly queue = this.seconds(
    'gridstow_queue_seconds',
    'Waiting for an executor, loading included',
    ['model', 'version'],
  );
  private readonly infer = this.seconds(
    'gridstow_infer_seconds',
    'The call that computed a prediction, which others may have shared',
    ['model', 'version'],
  );
  private readonly record = this.seconds(
    'gridstow_record_seconds',
    'Until the recorder stood for the record',
    ['model', 'version'],
  );
  private readonly decode = this.seconds(
    'gridstow_decode_seconds',
    'From a whole body to tensors',
    ['kind'],
  );
  private readonly calls = this.counter(
    'gridstow_engine_calls_total',
    'Calls of engines: a call computes the rows of one or several requests',
    ['model', 'version', 'engine'],
  );
  private readonly batchRows = new Histogram({
    name: 'gridstow_batch_rows',
    help: 'Rows of a call',
    labelNames: ['model', 'version'],
    buckets: ROWS,
    registers: [this.registry],
  });
  private readonly load = this.seconds(
    'gridstow_load_seconds',
    'Reading, decoding and building a version in an executor',
    ['model', 'version', 'engine'],
  );
  private readonly loadFailures = this.counter(
    'gridstow_load_failures_total',
    'Loads that failed',
    ['model', 'version', 'engine'],
  );
  private readonly http = this.seconds(
    'gridstow_http_request_seconds',
    'HTTP requests by route, until the answer was handed over',
    ['method', 'route', 'status'],
  );

  constructor() {
    this.gaugeLevels();
    this.countRecording();
  }

  /** Also counts what Node knows of its own process; once per process is enough. */
  watchProcess(): void {
    collectDefaultMetrics({ register: this.registry });
  }

  /** Whom to ask about memory at each scrape. */
  watchRuntime(levels: () => RuntimeLevels): void {
    this.levels = levels;
  }

  /** Whom to ask about records at each scrape. */
  watchRecording(levels: () => RecordingLevels): void {
    this.recording = levels;
  }

  predicted(
    { model, version }: VersionLabels,
    protocol: string,
    rows: number,
    times: PredictionTimes,
  ): void {
    const labels = { model, version };
    this.lastAt.set(`${model}/${version}`, new Date());
    this.predictions.inc({ model, version, protocol });
    this.rows.inc(labels, rows);
    this.total.observe(labels, times.totalMs / 1000);
    this.queue.observe(labels, times.queueMs / 1000);
    this.infer.observe(labels, times.inferMs / 1000);
    this.record.observe(labels, times.recordMs / 1000);
  }

  predictionFailed({ model, version }: VersionLabels, protocol: string, code: string): void {
    this.failures.inc({ model, version, protocol, code });
  }

  decoded(kind: 'json' | 'image' | 'binary', ms: number): void {
    this.decode.observe({ kind }, ms / 1000);
  }

  called({ model, version }: VersionLabels, engine: string, rows: number): void {
    this.calls.inc({ model, version, engine });
    this.batchRows.observe({ model, version }, rows);
  }

  loaded({ model, version }: VersionLabels, engine: string, ms: number): void {
    this.load.observe({ model, version, engine }, ms / 1000);
  }

  loadFailed({ model, version }: VersionLabels, engine: string): void {
    this.loadFailures.inc({ model, version, engine });
  }

  served(method: string, route: string, status: number, ms: number): void {
    this.http.observe({ method, route, status }, ms / 1000);
  }

  /** What was counted of some versions, at one moment. */
  async figuresOf(versions: readonly VersionLabels[]): Promise<VersionFigures[]> {
    const [predictions, failures, rows, calls, total, queue, infer, record] = await Promise.all([
      this.predictions.get(),
      this.failures.get(),
      this.rows.get(),
      this.calls.get(),
      this.total.get(),
      this.queue.get(),
      this.infer.get(),
      this.record.get(),
    ]);
    return versions.map(({ model, version }) => ({
      predictions: countOf(predictions, model, version),
      failures: countOf(failures, model, version),
      rows: countOf(rows, model, version),
      calls: countOf(calls, model, version),
      total: timeOf(total, model, version),
      queue: timeOf(queue, model, version),
      infer: timeOf(infer, model, version),
      record: timeOf(record, model, version),
      lastAt: this.lastAt.get(`${model}/${version}`) ?? null,
    }));
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** Everything as text, with the names that other servers' boards ask for at the end. */
  async text(): Promise<string> {
    return (await this.registry.metrics()) + foreignNames(await this.registry.getMetricsAsJSON());
  }

  private counter<T extends string>(name: string, help: string, labelNames: T[]): Counter<T> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  private seconds<T extends string>(name: string, help: string, labelNames: T[]): Histogram<T> {
    return new Histogram({ name, help, labelNames, buckets: SECONDS, registers: [this.registry] });
  }

  /** Gauges hold nothing between scrapes: each asks the runtime when it is read. */
  private gaugeLevels(): void {
    type Executor = RuntimeLevels['executors'][number];
    const perExecutor: [string, string, (executor: Executor) => number][] = [
      ['gridstow_executor_up', 'Whether an executor takes requests', ({ up }) => Number(up)],
      ['gridstow_executor_restarts_total', 'Processes replaced', ({ restarts }) => restarts],
      ['gridstow_loaded_versions', 'Versions in memory', ({ versions }) => versions],
      ['gridstow_loaded_bytes', 'Bytes of the weights in memory', ({ bytes }) => bytes],
      ['gridstow_tensors', 'Tensors alive in an executor', ({ tensors }) => tensors],
      ['gridstow_executor_rss_bytes', 'Memory of an executor process', ({ rssBytes }) => rssBytes],
    ];
    for (const [name, help, value] of perExecutor) {
      this.gauge(name, help, ['executor', 'engine'], ({ executors }, set) => {
        for (const executor of executors) {
          const { id, engine } = executor;
          set({ executor: id, engine }, value(executor));
        }
      });
    }
    this.gauge('gridstow_memory_budget_bytes', 'Budget for loaded versions', [], (levels, set) => {
      set({}, levels.budgetBytes);
    });
    this.gauge('gridstow_waiting_requests', 'Requests in the queue', ['model'], (levels, set) => {
      for (const [model, waiting] of levels.waiting) set({ model }, waiting);
    });
    this.gauge(
      'gridstow_live_versions_missing',
      'Versions that live points at and that are not in memory',
      [],
      (levels, set) => {
        set({}, levels.liveMissing);
      },
    );
  }

  /** `predicted = recorded + dropped + queued` at every scrape: all are read at one moment. */
  private countRecording(): void {
    const totals = {
      predicted: 'Predictions that were to be recorded, failed ones included',
      recorded: 'Records that a majority has acknowledged',
      dropped: 'Records given up',
      unrecorded: 'Predictions that were not to be recorded: recording off, or not in the sample',
      replayed: 'Records of an earlier run of the service, found on disk',
      removed: 'Records that this process removed by the limits of their models',
    } as const;
    const levels = (): RecordingLevels | undefined => this.recording?.();
    for (const [what, help] of Object.entries(totals)) {
      new Counter({
        name: `gridstow_recording_${what}_total`,
        help,
        registers: [this.registry],
        collect() {
          this.reset();
          this.inc(levels()?.[what as keyof typeof totals] ?? 0);
        },
      });
    }
    new Gauge({
      name: 'gridstow_recording_queued',
      help: 'Predictions whose record waits to be acknowledged',
      registers: [this.registry],
      collect() {
        this.set(levels()?.waiting ?? 0);
      },
    });
  }

  private gauge(
    name: string,
    help: string,
    labelNames: string[],
    read: (
      levels: RuntimeLevels,
      set: (labels: Partial<Record<string, string | number>>, value: number) => void,
    ) => void,
  ): void {
    const level = (): RuntimeLevels | undefined => this.levels?.();
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.registry],
      collect() {
        this.reset();
        const levels = level();
        if (levels) {
          read(levels, (labels, value) => {
            this.set(labels, value);
          });
        }
      },
    });
  }
}
