/** One load of a version into an executor, as it ended. */
export interface RecentLoad {
  readonly version: string;
  readonly executor: number;
  readonly engine: string;
  /** When it began. */
  readonly at: string;
  readonly ms: number;
  readonly ok: boolean;
  /** Why it failed. */
  readonly reason?: string;
}

const KEPT = 20;

/** The last loads, the newest first, for whoever looks why a first request took its time. */
export class RecentLoads {
  private readonly loads: RecentLoad[] = [];

  add(load: RecentLoad): void {
    this.loads.unshift(load);
    this.loads.length = Math.min(this.loads.length, KEPT);
  }

  list(): readonly RecentLoad[] {
    return [...this.loads];
  }
}
