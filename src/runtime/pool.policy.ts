/** One version in the memory of one executor, as the policy sees it. */
export interface LoadedCopy {
  readonly key: string;
  readonly bytes: number;
  readonly lastUsedAtMs: number;
  /** Somebody computes with it, waits for it, or it is on its way in. */
  readonly leased: boolean;
}

/** One executor that could take the wanted version. */
export interface SlotView {
  readonly slot: number;
  readonly busy: boolean;
  readonly copies: readonly LoadedCopy[];
}

export interface PoolView {
  /** The executors that run the engine which the wanted version needs. */
  readonly candidates: readonly SlotView[];
  /** The executors of other engines: their copies count and can make room. */
  readonly others: readonly SlotView[];
  /** Versions of which the last copy stays, whatever else has to go. */
  readonly pinned: ReadonlySet<string>;
  readonly budgetBytes: number;
}

export interface Wanted {
  readonly key: string;
  readonly bytes: number;
}

export type LoadDecision =
  | {
      readonly kind: 'load';
      readonly slot: number;
      readonly evict: readonly { readonly slot: number; readonly key: string }[];
    }
  /** `never`: larger than the whole budget; `now`: what is loaded is in use or pinned. */
  | { readonly kind: 'refuse'; readonly because: 'never' | 'now' };

/**
 * Where to load a version that no executor has, and what has to go for it.
 *
 * The executor is an idle one if possible, then the one with the least in memory. Copies go by
 * least recent use, and never one that is leased or the last of a pinned version.
 */
export function decideLoad(view: PoolView, wanted: Wanted): LoadDecision {
  if (wanted.bytes > view.budgetBytes) return { kind: 'refuse', because: 'never' };
  const [target] = view.candidates
    .filter(({ copies }) => !copies.some(({ key }) => key === wanted.key))
    .sort((a, b) => Number(a.busy) - Number(b.busy) || bytesOf(a) - bytesOf(b));
  if (!target) return { kind: 'refuse', because: 'now' };

  let excess = usedBytes(view) + wanted.bytes - view.budgetBytes;
  const evict: { slot: number; key: string }[] = [];
  const left = countCopies(view);
  for (const { slot, copy } of leastRecentFirst(view)) {
    if (excess <= 0) break;
    const copies = left.get(copy.key) ?? 0;
    if (copy.leased || (copies === 1 && view.pinned.has(copy.key))) continue;
    left.set(copy.key, copies - 1);
    evict.push({ slot, key: copy.key });
    excess -= copy.bytes;
  }
  return excess <= 0
    ? { kind: 'load', slot: target.slot, evict }
    : { kind: 'refuse', because: 'now' };
}

/**
 * Which idle executor should get a further copy of a version that has requests waiting, or null:
 * a copy more is worth free memory, not somebody else's place.
 */
export function decideSpread(view: PoolView, wanted: Wanted): number | null {
  if (usedBytes(view) + wanted.bytes > view.budgetBytes) return null;
  const idle = view.candidates
    .filter(({ busy, copies }) => !busy && !copies.some(({ key }) => key === wanted.key))
    .sort((a, b) => bytesOf(a) - bytesOf(b));
  return idle[0]?.slot ?? null;
}

function leastRecentFirst({
  candidates,
  others,
}: PoolView): { readonly slot: number; readonly copy: LoadedCopy }[] {
  return [...candidates, ...others]
    .flatMap(({ slot, copies }) => copies.map((copy) => ({ slot, copy })))
    .sort((a, b) => a.copy.lastUsedAtMs - b.copy.lastUsedAtMs);
}

function countCopies({ candidates, others }: PoolView): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { copies } of [...candidates, ...others]) {
    for (const { key } of copies) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function usedBytes({ candidates, others }: PoolView): number {
  return [...candidates, ...others].reduce((sum, slot) => sum + bytesOf(slot), 0);
}

function bytesOf({ copies }: SlotView): number {
  return copies.reduce((sum, { bytes }) => sum + bytes, 0);
}
