import { type FeedbackDoc, type GivenTruth } from './feedback.doc';

/** A truth as the API shows it: in the form in which it may be sent. */
export interface TruthAnswer {
  readonly label?: string | readonly string[];
  readonly values?: readonly number[] | Readonly<Record<string, readonly number[]>>;
  readonly source?: string;
  readonly givenAt: string;
}

/** What was said of a prediction: the truth that counts, and what it replaced, newest first. */
export interface FeedbackAnswer extends TruthAnswer {
  readonly revision: number;
  readonly history: readonly TruthAnswer[];
}

export function toFeedbackAnswer({ current, revision, history }: FeedbackDoc): FeedbackAnswer {
  return { ...toTruth(current), revision, history: history.toReversed().map(toTruth) };
}

function toTruth({ labels, values, source, givenAt }: GivenTruth): TruthAnswer {
  const [label] = labels ?? [];
  return {
    ...(labels && label !== undefined ? { label: labels.length === 1 ? label : labels } : {}),
    ...(values ? { values: toValues(values) } : {}),
    ...(source === undefined ? {} : { source }),
    givenAt: givenAt.toISOString(),
  };
}

function toValues(
  values: NonNullable<GivenTruth['values']>,
): readonly number[] | Readonly<Record<string, readonly number[]>> {
  const [only] = values;
  if (only && only.name === undefined) return only.values;
  return Object.fromEntries(values.map(({ name = '', values: numbers }) => [name, numbers]));
}
