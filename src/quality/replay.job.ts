import { Injectable } from '@nestjs/common';
import { type Document } from 'mongodb';

import { StoreError } from '../common/errors';
import { type NamedTensors } from '../common/tensor';
import { toLoadable, type VersionDoc } from '../models/version.doc';
import { VersionsRepository } from '../models/versions.repository';
import { InputsStore } from '../predictions/inputs.store';
import { InputMissingError, PredictionNotFoundError } from '../predictions/predictions.errors';
import {
  type PredictionFilter,
  PredictionsRepository,
} from '../predictions/predictions.repository';
import { type Prediction } from '../predictions/prediction.doc';
import { outputsOf } from '../predictions/prediction-proof';
import { topLabels } from '../predictions/top-labels';
import { ModelRuntime } from '../runtime/model-runtime.service';
import { type JobDoc } from './job.doc';
import { type JobContext } from './job-runner.service';
import { CandidateUnfitError } from './quality.errors';
import { inputsFor } from './replay-inputs';
import { ReplayTally } from './replay-tally';
import { type ReplayParams } from './replay.doc';

/** Records between two checkpoints: a second or so of work on small models. */
const STEP = 16;

/** Records that are computed at once, so that predictions for callers keep most of the room. */
const AT_ONCE = 2;

/** Where a replay is: records older than `before` are still to come. */
interface Checkpoint extends Document {
  readonly before: string;
  readonly total: number;
  readonly tally: object;
}

/**
 * Runs recorded inputs again, through the version that answered and through a candidate, and
 * compares both with the record. Nothing that it computes is recorded as a prediction.
 */
@Injectable()
export class ReplayJob {
  constructor(
    private readonly versions: VersionsRepository,
    private readonly predictions: PredictionsRepository,
    private readonly inputs: InputsStore,
    private readonly runtime: ModelRuntime,
  ) {}

  /**
   * @returns the report; null when it stopped on the way because the process ends
   * @throws CandidateUnfitError; JobLostError of the context
   */
  async run(job: JobDoc, context: JobContext): Promise<Document | null> {
    const { model } = job;
    const params = job.params as ReplayParams;
    const candidate = await this.readyVersion(model, params.candidate);
    const filter: PredictionFilter = { ...params.from, model, status: 'ok' };
    const saved = job.checkpoint as Checkpoint | null;
    const tally = saved ? ReplayTally.resume(saved.tally) : ReplayTally.start();
    // Records that are made meanwhile stand before the first page.
    let before = saved?.before ?? job._id.toHexString();
    const total =
      saved?.total ?? (await this.predictions.count(filter, { before, limit: params.limit }));
    const owns = new Map<number, Promise<VersionDoc>>();
    const ownOf = async (version: number): Promise<VersionDoc> => {
      const known = owns.get(version) ?? this.readyVersion(model, version);
      owns.set(version, known);
      return await known;
    };

    while (tally.seen < params.limit) {
      if (context.stopping()) return null;
      const limit = Math.min(STEP, params.limit - tally.seen);
      const docs = await this.predictions.list(filter, { limit, before });
      for (let at = 0; at < docs.length; at += AT_ONCE) {
        const group = docs.slice(at, at + AT_ONCE);
        await Promise.all(
          group.map(async (doc) => {
            await this.replay(doc, ownOf, candidate, tally);
          }),
        );
      }
      before = docs.at(-1)?.id ?? before;
      const checkpoint: Checkpoint = { before, total, tally: tally.save() };
      await context.save({ done: tally.seen, total: Math.max(total, tally.seen) }, checkpoint);
      if (docs.length < limit) break;
    }
    return { ...tally.report(params.candidate) };
  }

  /** Adds one record to the tally, or says why it cannot be compared. */
  private async replay(
    listed: Prediction,
    ownOf: (version: number) => Promise<VersionDoc>,
    candidate: VersionDoc,
    tally: ReplayTally,
  ): Promise<void> {
    const predictionId = listed.id;
    try {
      const found = await this.predictions.findJoined(predictionId);
      if (!found) throw new PredictionNotFoundError('The record was removed meanwhile');
      const { prediction, input, feedback } = found;
      if (!input) throw new InputMissingError('The bytes of its input are not stored');
      const content = await this.inputs.contentOf(input);
      const own = await ownOf(prediction.version);
      const { rows } = prediction;
      const [again, instead] = [
        await this.compute(own, await inputsFor(own, input, content)),
        await this.compute(candidate, await inputsFor(candidate, input, content)),
      ];
      tally.add({
        predictionId,
        rows,
        recorded: outputsOf(prediction) ?? {},
        own: again,
        candidate: instead,
        recordedTop: prediction.top,
        candidateTop: topLabels(instead, candidate.signature, candidate.labels, rows),
        truth: feedback?.current.labels,
      });
    } catch (error) {
      // What is wrong with one record is a finding; what is wrong with the moment ends the step.
      if (!(error instanceof StoreError) || isPassing(error)) throw error;
      tally.skip({ predictionId, code: error.code, message: error.message });
    }
  }

  private async compute(version: VersionDoc, inputs: NamedTensors): Promise<NamedTensors> {
    return (await this.runtime.predict(toLoadable(version), inputs)).outputs;
  }

  /** @throws CandidateUnfitError */
  private async readyVersion(model: string, version: number): Promise<VersionDoc> {
    const doc = await this.versions.get(model, version);
    if (doc.state === 'ready') return doc;
    throw new CandidateUnfitError(`Version ${version} of ${model} is ${doc.state}, not ready`, {
      model,
      version,
      state: doc.state,
    });
  }
}

function isPassing({ kind }: StoreError): boolean {
  return kind === 'unavailable' || kind === 'overloaded';
}
