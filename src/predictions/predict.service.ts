import { Inject, Injectable } from '@nestjs/common';

import { StoreError } from '../common/errors';
import { type CancelSignal } from '../common/cancel-signal';
import { type NamedTensors } from '../common/tensor';
import { type Config } from '../config/config';
import { CONFIG } from '../config/config.tokens';
import { Metrics } from '../metrics/metrics';
import { type ResolvedVersion } from '../models/version-resolver.service';
import { toLoadable } from '../models/version.doc';
import { ModelRuntime } from '../runtime/model-runtime.service';
import { DurableRecorder } from './durable-recorder.service';
import { tensorInput } from './prediction-input';
import { type PredictionInput, type PredictionRecord, type Protocol } from './prediction.doc';
import { OutputTooLargeError } from './predictions.errors';
import { PredictionsRepository } from './predictions.repository';
import { QueuedRecorder } from './queued-recorder.service';
import { NoRecorder, type Recorder } from './recorder';
import { type ScoredLabel, topLabels } from './top-labels';

/** Outputs beyond this would not fit one record beside its input. */
export const MAX_OUTPUT_BYTES = 8 * 1024 * 1024;

/** A request whose inputs were understood. */
export interface PredictJob<T> {
  /** Resolved once: the version answers, whatever moves meanwhile. */
  readonly resolved: ResolvedVersion;
  readonly inputs: NamedTensors;
  /** What is kept as the input where that is not the tensors. */
  readonly input?: PredictionInput | undefined;
  /** Works it out where that takes a while; the model computes meanwhile. */
  readonly makeInput?: (() => Promise<PredictionInput>) | undefined;
  readonly rows: number;
  readonly protocol: Protocol;
  readonly callerId?: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  /** `performance.now()` when the request came in. */
  readonly startedAtMs: number;
  /** Writes the outputs in the form of the protocol; what it throws makes the prediction a failed one. */
  readonly encode: (outputs: NamedTensors) => T;
  readonly signal?: CancelSignal | undefined;
}

/** The timings of an answer. */
export interface PredictTimings {
  readonly queueMs: number;
  readonly inferMs: number;
  readonly recordMs: number;
  readonly totalMs: number;
}

export interface Predicted<T> {
  readonly predictionId: string;
  readonly answer: T;
  readonly top?: readonly (readonly ScoredLabel[])[] | undefined;
  readonly timings: PredictTimings;
  readonly rows: number;
  readonly batchRows: number;
}

/** How a prediction came out, for its record. */
type Outcome = Pick<PredictionRecord, 'status' | 'error' | 'outputs' | 'top' | 'timings'>;

/**
 * Predicts with one version and records it.
 *
 * No result is given out before its recorder stands for the record. Failures are recorded, too,
 * unless nothing was tried: a request that found no room, or whose caller went away first.
 */
@Injectable()
export class PredictService {
  constructor(
    private readonly runtime: ModelRuntime,
    private readonly predictions: PredictionsRepository,
    private readonly durable: DurableRecorder,
    private readonly queued: QueuedRecorder,
    private readonly unrecorded: NoRecorder,
    private readonly metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** @throws StoreError of the runtime, of `encode`, or RecordingUnavailableError */
  async predict<T>(job: PredictJob<T>): Promise<Predicted<T>> {
    const { version } = job.resolved;
    try {
      const predicted = await this.compute(job);
      this.metrics.predicted(version, job.protocol, job.rows, predicted.timings);
      return predicted;
    } catch (error) {
      this.metrics.predictionFailed(version, job.protocol, describe(error).code);
      throw error;
    }
  }

  private async compute<T>(job: PredictJob<T>): Promise<Predicted<T>> {
    const { resolved, inputs, rows, signal, startedAtMs } = job;
    const { version } = resolved;
    const createdAt = new Date();
    const id = this.predictions.newId();
    const running = this.runtime.predict(toLoadable(version), inputs, {
      batching: resolved.batching,
      signal,
    });
    const keep = this.startRecord(job, id, createdAt);
    let outputs: NamedTensors;
    let answer: T;
    let batchRows = rows;
    let queueMs = 0;
    let inferMs = 0;
    try {
      const prediction = await running;
      ({ outputs, batchRows = rows } = prediction);
      queueMs = toMs(prediction.queueMs);
      inferMs = toMs(prediction.inferMs);
      assertRecordable(outputs);
      answer = job.encode(outputs);
    } catch (error) {
      if (wasTried(error)) {
        await keep({
          status: 'failed',
          error: describe(error),
          timings: { queueMs, inferMs, totalMs: since(startedAtMs) },
        });
      }
      throw error;
    }
    const top = topLabels(outputs, version.signature, version.labels, rows);
    const recordingAtMs = performance.now();
    await keep({
      status: 'ok',
      outputs,
      top,
      timings: { queueMs, inferMs, totalMs: since(startedAtMs) },
    });
    const recordMs = since(recordingAtMs);
    return {
      predictionId: id,
      answer,
      top,
      timings: { queueMs, inferMs, recordMs, totalMs: since(startedAtMs) },
      rows,
      batchRows,
    };
  }

  /** Encodes and hashes the input, which an executor has by now, unless nobody will want it. */
  private startRecord<T>(
    job: PredictJob<T>,
    id: string,
    createdAt: Date,
  ): (outcome: Outcome) => Promise<void> {
    const recorder = this.recorderFor(job.resolved);
    if (recorder === this.unrecorded)
      return async () => {
        await this.unrecorded.record();
      };
    const { resolved, rows, protocol, callerId, tags } = job;
    const { alias } = resolved;
    const { model, version, digest } = resolved.version;
    const making = job.makeInput ? job.makeInput() : (job.input ?? tensorInput(job.inputs));
    return async ({ status, error, outputs, top, timings }) => {
      const input = await making;
      // Member by member: to put objects together from others costs more than all else here.
      await recorder.record({
        id,
        model,
        version,
        digest,
        alias,
        protocol,
        status,
        error,
        callerId,
        tags,
        rows,
        input,
        outputs,
        top,
        timings,
        createdAt,
      });
    };
  }

  private recorderFor({ recording }: ResolvedVersion): Recorder {
    const { mode, rate } = recording ?? { mode: this.config.recording, rate: 1 };
    if (rate < 1 && Math.random() >= rate) return this.unrecorded;
    switch (mode) {
      case 'durable':
        return this.durable;
      case 'queued':
        return this.queued;
      case 'off':
        return this.unrecorded;
    }
  }
}

/** @throws OutputTooLargeError */
function assertRecordable(outputs: NamedTensors): void {
  const bytes = Object.values(outputs).reduce((sum, { data }) => sum + data.byteLength, 0);
  if (bytes > MAX_OUTPUT_BYTES) {
    throw new OutputTooLargeError(
      `The outputs have ${bytes} bytes, at most ${MAX_OUTPUT_BYTES} can be recorded; send fewer rows at once`,
      { bytes, maxBytes: MAX_OUTPUT_BYTES },
    );
  }
}

function wasTried(error: unknown): boolean {
  if (!(error instanceof StoreError)) return true;
  return error.kind !== 'overloaded' && error.code !== 'prediction_cancelled';
}

function describe(error: unknown): { code: string; message: string } {
  return error instanceof StoreError
    ? { code: error.code, message: error.message }
    : { code: 'internal_error', message: 'The service failed; its log says why' };
}

function since(startMs: number): number {
  return toMs(performance.now() - startMs);
}

/** Milliseconds to the microsecond: more digits would only pretend. */
function toMs(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
