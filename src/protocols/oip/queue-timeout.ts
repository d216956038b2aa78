import { type CancelSignal } from '../../common/cancel-signal';

/**
 * Ends the wait for an executor when time runs out or the caller goes away; what computes already
 * is not touched, as Triton has it.
 */
export class QueueTimeout {
  readonly signal: CancelSignal;
  private readonly timer: NodeJS.Timeout | undefined;
  private ranOut = false;

  constructor(gone: CancelSignal, timeoutMs: number | undefined) {
    if (timeoutMs === undefined) {
      this.signal = gone;
      return;
    }
    const controller = new AbortController();
    this.signal = controller.signal;
    const end = (): void => {
      controller.abort();
    };
    gone.addEventListener('abort', end);
    this.timer = setTimeout(() => {
      this.ranOut = true;
      end();
    }, timeoutMs);
    this.forget = () => {
      gone.removeEventListener('abort', end);
    };
  }

  /** Whether it was time that ended the wait. */
  get isOver(): boolean {
    return this.ranOut;
  }

  close(): void {
    clearTimeout(this.timer);
    this.forget();
  }

  private forget: () => void = () => undefined;
}
