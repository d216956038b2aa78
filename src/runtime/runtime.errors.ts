import { StoreError, UnavailableError } from '../common/errors';

/** The artifact is sound, yet no engine allowed here can run it; the message names what is missing. */
export class ModelUnloadableError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'model_unloadable';
}

/** The model has something that the compiler has no ONNX form for; the message names it. */
export class NotCompiledError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'not_compiled';
}

/** The model runs, but not on these inputs: sizes that its layers cannot combine, for example. */
export class InferenceFailedError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'inference_failed';
}

/** Inputs or outputs that an engine cannot take or give, such as a name the model does not have. */
export class TensorMismatchError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'tensor_mismatch';
}

/** Time ran out: waiting for an executor, or while one was computing. */
export class PredictionDeadlineError extends StoreError {
  override readonly kind = 'deadline';
  override readonly code = 'prediction_deadline';
}

/** The caller went away before an executor took the request. */
export class PredictionCancelledError extends UnavailableError {
  override readonly code = 'prediction_cancelled';
}

/** The process that was computing ended; another one takes its place. Asking again is safe. */
export class ExecutorLostError extends UnavailableError {
  override readonly code = 'executor_lost';
}

/** Its last loads failed for reasons that may pass; the next attempt is only made after a pause. */
export class LoadFailingError extends UnavailableError {
  override readonly code = 'load_failing';
}

/** Running it took down several executors within minutes. */
export class VersionHarmfulError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'version_harmful';
}

/** More is asked for than memory or queues hold. `details.retryAfterSeconds` says when to ask again. */
export class RuntimeOverloadedError extends StoreError {
  override readonly kind = 'overloaded';
  override readonly code = 'runtime_overloaded';
}

/** An engine that is not installed, or cannot start on this machine. */
export class EngineUnavailableError extends UnavailableError {
  override readonly code = 'engine_unavailable';
}

/** Nothing is wrong with the version: the one engine that runs its format is not in use here. */
export class EngineMissingError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'engine_missing';
}

/** Bytes on an executor's socket that are no frame: the connection cannot be trusted any more. */
export class FramingError extends StoreError {
  override readonly kind = 'corrupt';
  override readonly code = 'broken_frame';
}
