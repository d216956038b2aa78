export interface SeenLimits {
  readonly maxItems: number;
  readonly maxAgeMs: number;
}

/**
 * What was seen lately: for half of the age to all of it, fewer when many come.
 *
 * Two sets that take turns, because this is asked for every prediction: an order of use, or a time
 * for each, would cost several times as much.
 */
export class SeenLately {
  private young = new Set<string>();
  private old = new Set<string>();
  private turnedAtMs = performance.now();

  constructor(private readonly limits: SeenLimits) {}

  has(item: string): boolean {
    this.turn();
    return this.young.has(item) || this.old.has(item);
  }

  add(item: string): void {
    this.turn();
    this.young.add(item);
  }

  delete(item: string): void {
    this.young.delete(item);
    this.old.delete(item);
  }

  private turn(): void {
    const { maxItems, maxAgeMs } = this.limits;
    const nowMs = performance.now();
    const ageMs = nowMs - this.turnedAtMs;
    if (ageMs >= maxAgeMs) {
      this.young.clear();
      this.old.clear();
      this.turnedAtMs = nowMs;
    } else if (ageMs >= maxAgeMs / 2) {
      // By its due time, not by now, or what is handed over late would stay too long.
      this.handOver(this.turnedAtMs + maxAgeMs / 2);
    } else if (this.young.size >= maxItems / 2) {
      this.handOver(nowMs);
    }
  }

  private handOver(atMs: number): void {
    this.old = this.young;
    this.young = new Set();
    this.turnedAtMs = atMs;
  }
}
