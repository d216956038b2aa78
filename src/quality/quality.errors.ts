import { StoreError } from '../common/errors';

export class JobNotFoundError extends StoreError {
  override readonly kind = 'not_found';
  override readonly code = 'job_not_found';
}

/** A job that has ended cannot be cancelled. */
export class JobEndedError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'job_ended';
}

/** Another process took the job over, or somebody cancelled it: whoever ran it stops. */
export class JobLostError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'job_lost';
}

/** The version that a replay was asked for cannot predict. */
export class CandidateUnfitError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'candidate_unfit';
}

/** A promotion whose conditions are not met; `details.report` says by how much. */
export class RequirementNotMetError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'requirement_not_met';
}

/** The replay that a promotion waits for is still going on; `details.jobId` says which. */
export class ReplayRunningError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'replay_running';
}
