import { randomUUID } from 'node:crypto';

import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { type Document } from 'mongodb';

import { StoreError } from '../common/errors';
import { LOGGER, type Logger } from '../http/logger';
import { DatabaseService } from '../mongo/database.service';
import { type JobDoc, type JobProgress } from './job.doc';
import { JobsRepository } from './jobs.repository';
import { JobLostError } from './quality.errors';
import { ReplayJob } from './replay.job';

/** How often a process looks for jobs that others left behind. */
const LOOK_EVERY_MS = 2_000;

/** What a job uses to say how far it is; throws when it is to stop. */
export interface JobContext {
  /** @throws JobLostError when it was cancelled or taken over */
  save(progress: JobProgress, checkpoint: Document): Promise<void>;
  /** True when the process wants to end: the job saves where it is and returns null. */
  readonly stopping: () => boolean;
}

/**
 * Works on jobs, one at a time in each process.
 *
 * A job belongs to whoever holds its lease. A process that dies loses it, and the next one goes on
 * from the last checkpoint; one that stops gives it back at once.
 */
@Injectable()
export class JobRunner implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly holder = randomUUID();
  private timer: NodeJS.Timeout | undefined;
  private working: Promise<void> | undefined;
  private stopping = false;

  constructor(
    private readonly jobs: JobsRepository,
    private readonly replay: ReplayJob,
    private readonly database: DatabaseService,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => {
      this.kick();
    }, LOOK_EVERY_MS);
    this.timer.unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopping = true;
    clearInterval(this.timer);
    await this.working;
  }

  /** Looks for work now rather than at the next turn. */
  kick(): void {
    if (this.stopping || this.working) return;
    this.working = this.workOff()
      .catch((error: unknown) => {
        this.logger.warn({ err: error }, 'looking for jobs failed; tried again soon');
      })
      .finally(() => {
        this.working = undefined;
      });
  }

  private async workOff(): Promise<void> {
    if (!(await this.database.health()).ok) return;
    while (!this.stopping) {
      const job = await this.jobs.claim(this.holder);
      if (!job) return;
      await this.work(job);
    }
  }

  private async work(job: JobDoc): Promise<void> {
    let progress = job.progress;
    const context: JobContext = {
      save: async (reached, checkpoint) => {
        progress = reached;
        if (!(await this.jobs.saveProgress(job._id, this.holder, reached, checkpoint))) {
          throw new JobLostError('The job was cancelled or taken over');
        }
      },
      stopping: () => this.stopping,
    };
    try {
      const report = await this.replay.run(job, context);
      if (report === null) await this.jobs.release(job._id, this.holder);
      else await this.jobs.finish(job._id, this.holder, { state: 'done', progress, report });
    } catch (error) {
      if (error instanceof JobLostError) return;
      if (isPassing(error)) {
        // The lease runs out and somebody, perhaps this process, goes on from the checkpoint.
        this.logger.warn({ err: error, jobId: job._id.toHexString() }, 'a job was interrupted');
        return;
      }
      if (!(error instanceof StoreError)) this.logger.error({ err: error }, 'a job failed');
      const failure =
        error instanceof StoreError
          ? { code: error.code, message: error.message }
          : { code: 'internal_error', message: 'The service failed; its log says why' };
      await this.jobs.finish(job._id, this.holder, { state: 'failed', failure });
    }
  }
}

/** What says nothing about the job itself, only about now. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof StoreError && (error.kind === 'unavailable' || error.kind === 'overloaded')
  );
}
