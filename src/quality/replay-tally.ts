import { type NamedTensors, type Tensor } from '../common/tensor';
import { isNumbers, valuesOf } from '../common/tensor-values';
import { type ScoredLabel } from '../predictions/top-labels';
import {
  type Agreement,
  type DifferenceExample,
  type LabelChange,
  type ReplayReport,
  type SkippedExample,
} from './replay.doc';

/** Two engines, or two batch sizes, may round differently by so much. */
const RELATIVE = 1e-5;
const ABSOLUTE = 1e-6;

const MAX_EXAMPLES = 20;

/** Upper bounds of the histogram; what is above the last falls into one more class. */
const BOUNDS = [0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1] as const;

/** One record, as it was and as it came out again. */
export interface Replayed {
  readonly predictionId: string;
  readonly rows: number;
  readonly recorded: NamedTensors;
  readonly own: NamedTensors;
  readonly candidate: NamedTensors;
  readonly recordedTop?: readonly (readonly ScoredLabel[])[] | undefined;
  readonly candidateTop?: readonly (readonly ScoredLabel[])[] | undefined;
  /** The true label of each row. */
  readonly truth?: readonly string[] | undefined;
}

/** What a tally has counted, as plain data that a checkpoint can hold. */
interface Counts {
  records: number;
  rows: number;
  skipped: number;
  skippedByCode: { code: string; count: number }[];
  skippedExamples: SkippedExample[];
  own: Agreement;
  ownExamples: DifferenceExample[];
  agreement: Agreement;
  maxDifference: number;
  sumOfDifferences: number;
  histogram: number[];
  labelsCompared: number;
  labelsChanged: number;
  labelExamples: LabelChange[];
  truthRows: number;
  recordedRight: number;
  candidateRight: number;
}

/** How two sets of outputs compare. */
export interface Comparison {
  readonly kind: keyof Agreement;
  /** Largest absolute difference of two numbers; 0 where nothing can be compared. */
  readonly maxDifference: number;
}

/** Adds up what a replay finds; can be written down and gone on with. */
export class ReplayTally {
  private constructor(private readonly counts: Counts) {}

  static start(): ReplayTally {
    const none: Agreement = { bitwise: 0, withinTolerance: 0, differing: 0, incomparable: 0 };
    return new ReplayTally({
      records: 0,
      rows: 0,
      skipped: 0,
      skippedByCode: [],
      skippedExamples: [],
      own: none,
      ownExamples: [],
      agreement: none,
      maxDifference: 0,
      sumOfDifferences: 0,
      histogram: Array.from({ length: BOUNDS.length + 1 }, () => 0),
      labelsCompared: 0,
      labelsChanged: 0,
      labelExamples: [],
      truthRows: 0,
      recordedRight: 0,
      candidateRight: 0,
    });
  }

  static resume(saved: object): ReplayTally {
    return new ReplayTally(structuredClone(saved) as Counts);
  }

  save(): object {
    return structuredClone(this.counts);
  }

  get seen(): number {
    return this.counts.records + this.counts.skipped;
  }

  skip(example: SkippedExample): void {
    const { counts } = this;
    counts.skipped++;
    const known = counts.skippedByCode.find(({ code }) => code === example.code);
    if (known) known.count++;
    else counts.skippedByCode.push({ code: example.code, count: 1 });
    if (counts.skippedExamples.length < MAX_EXAMPLES) counts.skippedExamples.push(example);
  }

  add(replayed: Replayed): void {
    const { predictionId, rows, recorded, own, candidate } = replayed;
    const { counts } = this;
    counts.records++;
    counts.rows += rows;
    const again = compareOutputs(recorded, own);
    counts.own = count(counts.own, again.kind);
    if (
      again.kind !== 'bitwise' &&
      again.kind !== 'withinTolerance' &&
      counts.ownExamples.length < MAX_EXAMPLES
    ) {
      counts.ownExamples.push({ predictionId, maxDifference: again.maxDifference });
    }
    const { kind, maxDifference } = compareOutputs(recorded, candidate);
    counts.agreement = count(counts.agreement, kind);
    if (kind !== 'incomparable') this.addDifference(maxDifference);
    this.addLabels(replayed);
    this.addTruth(replayed);
  }

  report(candidate: number): ReplayReport {
    const { counts } = this;
    const { records, labelsCompared, labelsChanged } = counts;
    const comparable = records - counts.agreement.incomparable;
    return {
      candidate,
      records,
      rows: counts.rows,
      skipped: {
        count: counts.skipped,
        byCode: Object.fromEntries(counts.skippedByCode.map(({ code, count }) => [code, count])),
        examples: counts.skippedExamples,
      },
      own: { ...counts.own, examples: counts.ownExamples },
      agreement: counts.agreement,
      differences: {
        max: counts.maxDifference,
        mean: comparable === 0 ? 0 : counts.sumOfDifferences / comparable,
        histogram: counts.histogram.map((size, place) => ({
          upTo: BOUNDS[place] ?? null,
          count: size,
        })),
      },
      labels: {
        compared: labelsCompared,
        changed: labelsChanged,
        changedShare: share(labelsChanged, labelsCompared),
        examples: counts.labelExamples,
      },
      truth: {
        rows: counts.truthRows,
        recordedRight: counts.recordedRight,
        candidateRight: counts.candidateRight,
        recordedAccuracy: share(counts.recordedRight, counts.truthRows),
        candidateAccuracy: share(counts.candidateRight, counts.truthRows),
      },
    };
  }

  private addDifference(difference: number): void {
    const { counts } = this;
    counts.maxDifference = Math.max(counts.maxDifference, difference);
    counts.sumOfDifferences += difference;
    const place = BOUNDS.findIndex((bound) => difference <= bound);
    const bucket = place < 0 ? BOUNDS.length : place;
    counts.histogram[bucket] = (counts.histogram[bucket] ?? 0) + 1;
  }

  private addLabels({ predictionId, recordedTop, candidateTop }: Replayed): void {
    const { counts } = this;
    for (const [row, [from]] of (recordedTop ?? []).entries()) {
      const to = candidateTop?.[row]?.[0];
      if (!from || !to) continue;
      counts.labelsCompared++;
      if (from.label === to.label) continue;
      counts.labelsChanged++;
      if (counts.labelExamples.length < MAX_EXAMPLES) {
        counts.labelExamples.push({ predictionId, row, from, to });
      }
    }
  }

  private addTruth({ truth = [], recordedTop, candidateTop }: Replayed): void {
    const { counts } = this;
    truth.forEach((label, row) => {
      const [recorded, candidate] = [recordedTop?.[row]?.[0], candidateTop?.[row]?.[0]];
      if (!recorded || !candidate) return;
      counts.truthRows++;
      if (recorded.label === label) counts.recordedRight++;
      if (candidate.label === label) counts.candidateRight++;
    });
  }
}

/** Compares all outputs of one call with all of another. */
export function compareOutputs(expected: NamedTensors, actual: NamedTensors): Comparison {
  const names = Object.keys(expected);
  if (names.length !== Object.keys(actual).length) return INCOMPARABLE;
  let kind: Comparison['kind'] = 'bitwise';
  let maxDifference = 0;
  for (const name of names) {
    const [one, other] = [expected[name], actual[name]];
    if (!one || !other || !isAlike(one, other)) return INCOMPARABLE;
    if (Buffer.compare(one.data, other.data) === 0) continue;
    const compared = compareValues(one, other);
    if (compared.kind === 'incomparable') return compared;
    maxDifference = Math.max(maxDifference, compared.maxDifference);
    if (kind !== 'differing') ({ kind } = compared);
  }
  return { kind, maxDifference };
}

const INCOMPARABLE: Comparison = { kind: 'incomparable', maxDifference: 0 };

function isAlike(one: Tensor, other: Tensor): boolean {
  return one.dtype === other.dtype && one.shape.join() === other.shape.join();
}

function compareValues(one: Tensor, other: Tensor): Comparison {
  const [a, b] = [valuesOf(one), valuesOf(other)];
  // Truth values, strings and whole numbers beyond what a double holds are equal or they are not.
  if (!isNumbers(a) || !isNumbers(b)) return { kind: 'differing', maxDifference: 1 };
  let isClose = true;
  let maxDifference = 0;
  for (let index = 0; index < a.length; index++) {
    const [x, y] = [a[index] ?? 0, b[index] ?? 0];
    if (Object.is(x, y) || x === y) continue;
    const difference = Math.abs(x - y);
    // NaN against a number, or infinities that differ.
    if (!Number.isFinite(difference)) return INCOMPARABLE;
    maxDifference = Math.max(maxDifference, difference);
    if (difference > ABSOLUTE + RELATIVE * Math.abs(x)) isClose = false;
  }
  return { kind: isClose ? 'withinTolerance' : 'differing', maxDifference };
}

function count(agreement: Agreement, kind: keyof Agreement): Agreement {
  return { ...agreement, [kind]: agreement[kind] + 1 };
}

function share(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}
