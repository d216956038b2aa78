/** Which recorded predictions are run again; `since` is included, `until` is not. */
export interface ReplayFilter {
  readonly version?: number;
  readonly alias?: string;
  readonly callerId?: string;
  readonly label?: string;
  readonly since?: Date;
  readonly until?: Date;
}

export interface ReplayParams {
  readonly from: ReplayFilter;
  readonly candidate: number;
  /** At most so many records, newest first. */
  readonly limit: number;
}

/** How the outputs of records compare with what was recorded. */
export interface Agreement {
  /** Every byte of every output is the same. */
  readonly bitwise: number;
  /** Not the same bytes, yet every number within 1e-5 relative or 1e-6 absolute. */
  readonly withinTolerance: number;
  readonly differing: number;
  /** Outputs of other names, types or shapes, or not a number on one side only. */
  readonly incomparable: number;
}

/** One record that deserves a look. */
export interface DifferenceExample {
  readonly predictionId: string;
  readonly maxDifference: number;
}

export interface LabelChange {
  readonly predictionId: string;
  readonly row: number;
  readonly from: { readonly label: string; readonly score: number };
  readonly to: { readonly label: string; readonly score: number };
}

export interface SkippedExample {
  readonly predictionId: string;
  readonly code: string;
  readonly message: string;
}

/** Largest absolute difference within a record's outputs, over all records that are comparable. */
export interface Differences {
  readonly max: number;
  readonly mean: number;
  /** Records by how much they differ: `count` of those at most `upTo` (null: any more). */
  readonly histogram: readonly { readonly upTo: number | null; readonly count: number }[];
}

/** How often the best label was the true one, and how far numbers were off, where truth is known. */
export interface Correctness {
  /** Rows with a true label. */
  readonly rows: number;
  /** Rows that the record had right, and that the candidate has. */
  readonly recordedRight: number;
  readonly candidateRight: number;
  /** Right rows by all rows; null without any. */
  readonly recordedAccuracy: number | null;
  readonly candidateAccuracy: number | null;
}

/** What a replay found out. */
export interface ReplayReport {
  readonly candidate: number;
  /** Records that were compared, and rows in them. */
  readonly records: number;
  readonly rows: number;
  readonly skipped: {
    readonly count: number;
    readonly byCode: Readonly<Record<string, number>>;
    readonly examples: readonly SkippedExample[];
  };
  /** The version that answered, run again: whether the record can be reproduced. */
  readonly own: Agreement & { readonly examples: readonly DifferenceExample[] };
  /** The candidate, beside the record. */
  readonly agreement: Agreement;
  readonly differences: Differences;
  readonly labels: {
    /** Rows with a best label in the record and by the candidate. */
    readonly compared: number;
    readonly changed: number;
    /** `changed / compared`, null when there was nothing to compare. */
    readonly changedShare: number | null;
    readonly examples: readonly LabelChange[];
  };
  readonly truth: Correctness;
}
