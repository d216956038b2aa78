import { setTimeout as sleep } from 'node:timers/promises';

/** Work that is never done: one run after the other, with a pause in between. */
export interface RepeatedWork {
  readonly firstAfterMs: number;
  /** Between the end of a run and the next. */
  readonly pauseMs: number;
  /** One run; it ends as soon as it can once the signal is given. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  readonly onFailure: (error: unknown) => void;
}

/**
 * What a process does again and again beside its requests, until it stops.
 *
 * A run that fails is told of and tried again at its next turn. A stop begins no other run, tells
 * those under way to end, and is done when they are; what fails by then is nobody's concern, since
 * every run can be cut off and done again. It keeps no process alive by itself.
 */
export class BackgroundWork {
  private readonly ending = new AbortController();
  private readonly loops: Promise<void>[] = [];

  repeat(work: RepeatedWork): void {
    this.loops.push(this.loop(work));
  }

  async stop(): Promise<void> {
    this.ending.abort();
    await Promise.all(this.loops);
  }

  private async loop({ firstAfterMs, pauseMs, run, onFailure }: RepeatedWork): Promise<void> {
    const { signal } = this.ending;
    for (let waitMs = firstAfterMs; await this.wait(waitMs); waitMs = pauseMs) {
      try {
        await run(signal);
      } catch (error) {
        if (!signal.aborted) onFailure(error);
      }
    }
  }

  /** @returns false when there is no next turn */
  private async wait(forMs: number): Promise<boolean> {
    const { signal } = this.ending;
    return await sleep(forMs, true, { ref: false, signal }).catch(() => false);
  }
}
