import { performance } from 'node:perf_hooks';

const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 5 * 60_000;

/** A load that failed, and when it may be tried again. */
export interface FailedLoad {
  readonly failures: number;
  readonly error: unknown;
  readonly retryAtMs: number;
}

/**
 * Keeps loads that fail from being tried for each request.
 *
 * The first failure costs no pause, since most pass at once; each further one doubles it, from a
 * second to five minutes, a quarter of it by chance, so that replicas do not try in step. Success
 * forgets everything.
 */
export class LoadBackoff {
  private readonly failed = new Map<string, FailedLoad>();

  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly random: () => number = Math.random,
  ) {}

  failure(key: string, error: unknown): void {
    const failures = (this.failed.get(key)?.failures ?? 0) + 1;
    const pauseMs =
      failures === 1 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (failures - 2), LAST_PAUSE_MS);
    const retryAtMs = this.now() + pauseMs * (1 - this.random() / 4);
    this.failed.set(key, { failures, error, retryAtMs });
  }

  success(key: string): void {
    this.failed.delete(key);
  }

  /** The failure that forbids a load now. */
  blocking(key: string): (FailedLoad & { readonly leftMs: number }) | null {
    const failed = this.failed.get(key);
    const leftMs = failed ? failed.retryAtMs - this.now() : 0;
    return failed && leftMs > 0 ? { ...failed, leftMs } : null;
  }

  list(): readonly (readonly [string, FailedLoad])[] {
    return [...this.failed];
  }
}
