import { setTimeout as sleep } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';

import { type PromotionGate, type PromotionRequirements } from '../models/promotion-gate.port';
import { VersionsRepository } from '../models/versions.repository';
import { ENDED, type JobDoc } from './job.doc';
import { JobRunner } from './job-runner.service';
import { JobsRepository } from './jobs.repository';
import { CandidateUnfitError, ReplayRunningError, RequirementNotMetError } from './quality.errors';
import { type ReplayParams, type ReplayReport } from './replay.doc';

/** What a promotion replays when nobody has replayed the version before. */
const GATE_LIMIT = 200;

/** How long a promotion waits for that. */
const GATE_WAIT_MS = 25_000;
const GATE_POLL_MS = 100;

/** Replays on request, and as a condition of promotions. */
@Injectable()
export class ReplayService implements PromotionGate {
  constructor(
    private readonly jobs: JobsRepository,
    private readonly runner: JobRunner,
    private readonly versions: VersionsRepository,
  ) {}

  /** @throws CandidateUnfitError, VersionNotFoundError */
  async start(model: string, params: ReplayParams): Promise<JobDoc> {
    const { state } = await this.versions.get(model, params.candidate);
    if (state !== 'ready') {
      throw new CandidateUnfitError(
        `Version ${params.candidate} of ${model} is ${state}; only ready versions can be replayed`,
        { model, version: params.candidate, state },
      );
    }
    const job = await this.jobs.create('replay', model, params);
    this.runner.kick();
    return job;
  }

  /**
   * Judges by the newest finished replay of the version; makes one when there is none.
   *
   * @throws RequirementNotMetError with the report; ReplayRunningError with the job
   */
  async assertMet(
    model: string,
    version: number,
    { replay }: PromotionRequirements,
  ): Promise<void> {
    if (!replay) return;
    const done = await this.jobs.findNewestDone(model, { candidate: version });
    const job = done ?? (await this.runNow(model, version));
    const report = job.report as ReplayReport | null;
    const jobId = job._id.toHexString();
    const faults = report
      ? shortfalls(report, replay)
      : [`the replay ended as ${job.state}: ${job.failure?.message ?? 'no report'}`];
    if (faults.length === 0) return;
    throw new RequirementNotMetError(
      `Version ${version} of ${model} was not promoted: ${faults.join('; ')}`,
      { model, version, jobId, faults, report },
    );
  }

  private async runNow(model: string, candidate: number): Promise<JobDoc> {
    const { _id } = await this.start(model, { from: {}, candidate, limit: GATE_LIMIT });
    const jobId = _id.toHexString();
    for (let waited = 0; waited < GATE_WAIT_MS; waited += GATE_POLL_MS) {
      const job = await this.jobs.find(jobId);
      if (job && ENDED.includes(job.state)) return job;
      await sleep(GATE_POLL_MS);
    }
    throw new ReplayRunningError(
      `The replay of version ${candidate} is still going on; promote again when /api/jobs/${jobId} is done`,
      { model, version: candidate, jobId },
    );
  }
}

/** What a report lacks of what is required, in words. */
function shortfalls(
  { records, labels, truth }: ReplayReport,
  { maxChangedLabels, minAccuracy }: NonNullable<PromotionRequirements['replay']>,
): string[] {
  if (records === 0) return ['no recorded prediction could be compared'];
  const faults: string[] = [];
  if (maxChangedLabels !== undefined) {
    const { changedShare, changed, compared } = labels;
    if (changedShare === null) {
      faults.push('no label could be compared: the versions have no labels');
    } else if (changedShare > maxChangedLabels) {
      faults.push(
        `${changed} of ${compared} labels changed, a share of ${changedShare.toFixed(4)} where ${maxChangedLabels} is allowed`,
      );
    }
  }
  if (minAccuracy !== undefined) {
    const { candidateAccuracy, candidateRight, rows } = truth;
    if (candidateAccuracy === null) {
      faults.push('nobody has said yet what the truth was, so there is no accuracy');
    } else if (candidateAccuracy < minAccuracy) {
      faults.push(
        `${candidateRight} of ${rows} labels were right, an accuracy of ${candidateAccuracy.toFixed(4)} where ${minAccuracy} is asked for`,
      );
    }
  }
  return faults;
}
