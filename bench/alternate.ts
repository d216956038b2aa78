/** One way of doing the same thing; `run` does it once and gives how much it did per second. */
export interface Contender {
  readonly name: string;
  /** What it is there for: the product, what users would do instead, or the limit of the machine. */
  readonly role: 'ours' | 'peer' | 'floor';
  readonly run: () => Promise<number>;
}

/** Figures of one contender over all rounds, in units per second. */
export interface Figures {
  readonly name: string;
  readonly role: Contender['role'];
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Median over the rounds of this contender's figure divided by ours in the same round. */
  readonly ratioToOurs: number;
}

/**
 * Runs contenders in turn, A B C A B C …, after one round that does not count.
 *
 * Ratios are taken within a round, so a machine that slows down slows all of them.
 */
export async function alternate(
  contenders: readonly Contender[],
  rounds: number,
): Promise<Figures[]> {
  const samples = contenders.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    for (const [index, { run }] of contenders.entries()) {
      const figure = await run();
      if (round >= 0) samples[index]?.push(figure);
    }
  }
  const ours = samples[contenders.findIndex(({ role }) => role === 'ours')] ?? [];
  return contenders.map(({ name, role }, index) => {
    const own = samples[index] ?? [];
    return {
      name,
      role,
      median: median(own),
      min: Math.min(...own),
      max: Math.max(...own),
      ratioToOurs: median(own.map((figure, round) => figure / (ours[round] ?? figure))),
    };
  });
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? NaN)
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}
