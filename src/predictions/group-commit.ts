/** What became of one item of a group. */
export type Outcome<R> =
  | { readonly kind: 'done'; readonly value: R }
  | { readonly kind: 'failed'; readonly cause: unknown };

export const DONE: Outcome<void> = { kind: 'done', value: undefined };

export interface GroupLimits {
  readonly maxItems: number;
  readonly maxBytes: number;
  /** Groups being written at once. */
  readonly maxUnderWay: number;
}

/** What one command to the database carries; two under way hide the round trip of each other. */
export const INSERT_LIMITS: GroupLimits = {
  maxItems: 500,
  maxBytes: 4 * 1024 * 1024,
  maxUnderWay: 2,
};

/** Items in groups that keep to the limits; one that weighs more than they allow goes alone. */
export function* groupsOf<T>(
  items: Iterable<T>,
  weigh: (item: T) => number,
  { maxItems, maxBytes }: Omit<GroupLimits, 'maxUnderWay'> = INSERT_LIMITS,
): Generator<readonly T[]> {
  let group: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const weight = weigh(item);
    if (group.length === maxItems || (group.length > 0 && bytes + weight > maxBytes)) {
      yield group;
      [group, bytes] = [[], 0];
    }
    group.push(item);
    bytes += weight;
  }
  if (group.length > 0) yield group;
}

interface Waiting<T, R> {
  readonly item: T;
  readonly bytes: number;
  readonly resolve: (value: R) => void;
  readonly reject: (cause: unknown) => void;
}

/**
 * Writes items that come one by one in groups.
 *
 * There is no timer: an item waits for the writes under way and no longer, and all that waits by
 * then goes with the next. So a lone item costs one write, and a thousand cost a few.
 */
export class GroupCommit<T, R = void> {
  private readonly waiting: Waiting<T, R>[] = [];
  private underWay = 0;
  private isWoken = false;

  /**
   * @param write says of each item, in their order, what became of it; a rejection is true of all
   */
  constructor(
    private readonly write: (items: readonly T[]) => Promise<readonly Outcome<R>[]>,
    private readonly limits: GroupLimits,
  ) {}

  /** Resolves when the item is safe; rejects with the cause that its own write failed for. */
  async add(item: T, bytes: number): Promise<R> {
    return await new Promise<R>((resolve, reject) => {
      this.waiting.push({ item, bytes, resolve, reject });
      this.wake();
    });
  }

  /** Answers of one batch come in the same turn of the event loop: they should share a write. */
  private wake(): void {
    if (this.isWoken || this.underWay >= this.limits.maxUnderWay) return;
    this.isWoken = true;
    setImmediate(() => {
      this.isWoken = false;
      this.send();
    });
  }

  private send(): void {
    while (this.waiting.length > 0 && this.underWay < this.limits.maxUnderWay) {
      void this.writeGroup(this.takeGroup());
    }
  }

  private takeGroup(): readonly Waiting<T, R>[] {
    let count = 0;
    let bytes = 0;
    for (const next of this.waiting) {
      // The first goes whatever it weighs.
      if (count > 0 && bytes + next.bytes > this.limits.maxBytes) break;
      if (count === this.limits.maxItems) break;
      bytes += next.bytes;
      count++;
    }
    return this.waiting.splice(0, count);
  }

  private async writeGroup(group: readonly Waiting<T, R>[]): Promise<void> {
    this.underWay++;
    let outcomes: readonly Outcome<R>[];
    try {
      outcomes = await this.write(group.map(({ item }) => item));
    } catch (cause) {
      outcomes = group.map(() => ({ kind: 'failed', cause }));
    }
    this.underWay--;
    group.forEach(({ resolve, reject }, place) => {
      const outcome = outcomes[place];
      if (outcome?.kind === 'done') resolve(outcome.value);
      else reject(outcome?.cause ?? new RangeError('An item without an outcome'));
    });
    this.send();
  }
}
