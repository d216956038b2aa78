/** What one run of a contender measured. */
export interface Sample {
  readonly perSecond: number;
  /** Further figures, e.g. latencies; the name carries the unit. */
  readonly details?: Readonly<Record<string, number>>;
}

/**
 * One way of doing the same thing.
 *
 * `ours` is the product, `part` the product doing less of it, `peer` what users would write instead,
 * `floor` the limit that the machine or a library sets.
 */
export interface Contender {
  readonly name: string;
  readonly role: 'ours' | 'part' | 'peer' | 'floor';
  readonly run: () => Promise<Sample>;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What one contender measured over all rounds. */
export interface Figures {
  readonly name: string;
  readonly role: Contender['role'];
  readonly perSecond: Spread;
  /** Medians over the rounds. */
  readonly details: Readonly<Record<string, number>>;
  /** In the order of the rounds. */
  readonly samples: readonly number[];
}

/** Ours divided by another, taken within each round: below one is a loss. */
export interface Comparison {
  readonly ours: string;
  readonly other: string;
  readonly ratio: Spread;
  readonly verdict: 'win' | 'loss';
  /** Whether every single round says the same. */
  readonly unanimous: boolean;
}

export interface Standing {
  readonly figures: readonly Figures[];
  readonly comparisons: readonly Comparison[];
}

/**
 * Runs contenders in turn, A B C A B C …, after one round that does not count.
 *
 * Ratios are taken within a round, so a machine that slows down for a while slows all of them.
 */
export async function alternate(
  contenders: readonly Contender[],
  rounds: number,
): Promise<Standing> {
  const measured = contenders.map(({ name, role }) => ({ name, role, samples: [] as Sample[] }));
  for (let round = -1; round < rounds; round++) {
    for (const [index, { run }] of contenders.entries()) {
      const sample = await run();
      if (round >= 0) measured[index]!.samples.push(sample);
    }
  }
  const figures = measured.map(({ name, role, samples }) => ({
    name,
    role,
    perSecond: spread(samples.map(({ perSecond }) => perSecond)),
    details: medians(samples),
    samples: samples.map(({ perSecond }) => perSecond),
  }));
  return { figures, comparisons: compare(figures) };
}

/** Each of ours against every peer and floor, and the first of ours against the others of ours. */
function compare(figures: readonly Figures[]): Comparison[] {
  const [first, ...others] = figures.filter(({ role }) => role === 'ours');
  if (!first) return [];
  const foreign = figures.filter(({ role }) => role === 'peer' || role === 'floor');
  return [
    ...[...others, ...foreign].map((other) => comparison(first, other)),
    ...others.flatMap((ours) => foreign.map((other) => comparison(ours, other))),
  ];
}

function comparison(ours: Figures, other: Figures): Comparison {
  const ratios = ours.samples.map((sample, round) => sample / other.samples[round]!);
  const ratio = spread(ratios);
  return {
    ours: ours.name,
    other: other.name,
    ratio,
    verdict: ratio.median < 1 ? 'loss' : 'win',
    unanimous: ratio.max < 1 || ratio.min >= 1,
  };
}

function medians(samples: readonly Sample[]): Record<string, number> {
  const names = Object.keys(samples[0]?.details ?? {});
  return Object.fromEntries(
    names.map((name) => [name, median(samples.map(({ details }) => details?.[name] ?? NaN))]),
  );
}

function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
