import { type Fault, InvalidInputError } from '../common/errors';
import { type TensorSpec } from '../common/tensor';

/** Faults beyond these are only counted: a caller mends the first ones anyway. */
const MAX_SHOWN = 20;

/** Inputs that do not fit the signature of the model. */
export class InputsMismatchError extends InvalidInputError {
  override readonly code = 'inputs_mismatch';
}

/** Gathers what is wrong with one request. */
export class FaultList {
  private readonly shown: Fault[] = [];
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** Path and message are only made for faults that will be shown. */
  add(path: () => string, message: () => string): void {
    if (this.count++ < MAX_SHOWN) this.shown.push({ path: path(), message: message() });
  }

  /** @throws InputsMismatchError when there is any fault */
  throwIfAny(expected: readonly TensorSpec[]): void {
    const [first] = this.shown;
    if (!first) return;
    const others = this.count - 1;
    const more = others === 0 ? '' : `, and ${others} more ${others === 1 ? 'fault' : 'faults'}`;
    throw new InputsMismatchError(
      `The inputs do not fit the model: ${first.path} ${first.message}${more}`,
      this.shown,
      { faultCount: this.count, expected },
    );
  }
}
