import { StoreError } from '../../common/errors';
import { InferenceFailedError, ModelUnloadableError } from '../runtime.errors';
import { type EngineName } from './engine';

/** How the library words a missing kernel or op; it has no error classes. */
const MISSING = [
  /Kernel '([^']+)' not registered for backend/,
  /Unknown op '([^']+)'/,
  /Unknown (?:layer|activation|initializer|constraint|regularizer): (\w+)/,
];

/** What a failed load means: the model cannot run on this engine. */
export function asUnloadable(engine: EngineName, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const { message, missing } = describe(cause);
  return new ModelUnloadableError(
    missing === undefined
      ? `The ${engine} engine cannot load the model: ${message}`
      : `The ${engine} engine has no ${missing}`,
    { engine, reason: message, ...(missing === undefined ? {} : { missing }) },
    { cause },
  );
}

/** What a failed call means: usually inputs that do not fit together, at times an op that is missing. */
export function asInferenceFailure(engine: EngineName, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const { message, missing } = describe(cause);
  if (missing !== undefined) return asUnloadable(engine, cause);
  return new InferenceFailedError(
    `The model cannot compute this: ${message}`,
    { engine, reason: message },
    { cause },
  );
}

function describe(cause: unknown): { message: string; missing?: string } {
  // Some of the library's assertions carry no text at all.
  const text = cause instanceof Error ? cause.message || cause.name : String(cause);
  const message = text.split('\n', 1)[0]?.slice(0, 500) ?? '';
  for (const pattern of MISSING) {
    const missing = pattern.exec(text)?.[1];
    if (missing !== undefined) return { message, missing };
  }
  return { message };
}
