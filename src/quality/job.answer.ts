import { type JobDoc, type JobKind, type JobProgress, type JobState } from './job.doc';

/** A job as the API shows it. */
export interface JobAnswer {
  readonly jobId: string;
  readonly kind: JobKind;
  readonly model: string;
  readonly state: JobState;
  readonly params: Readonly<Record<string, unknown>>;
  readonly progress: JobProgress;
  readonly report: Readonly<Record<string, unknown>> | null;
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

export function toJobAnswer(doc: JobDoc): JobAnswer {
  const { kind, model, state, params, progress, report, failure } = doc;
  return {
    jobId: doc._id.toHexString(),
    kind,
    model,
    state,
    params,
    progress,
    report,
    failure,
    createdAt: doc.createdAt.toISOString(),
    startedAt: doc.startedAt?.toISOString() ?? null,
    finishedAt: doc.finishedAt?.toISOString() ?? null,
  };
}
