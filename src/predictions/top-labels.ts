import { type DType, elementCount, type NamedTensors, type Signature } from '../common/tensor';
import { isNumbers, type Numbers, valuesOf } from '../common/tensor-values';
import { inOrder } from './outputs-json';

/** A label of the version with the score that its model gave. */
export interface ScoredLabel {
  readonly label: string;
  readonly score: number;
}

const MAX_LABELS = 5;

/** Classifiers in ONNX give the class itself first, as a text or an int64, and then the scores. */
export function mayBeScores(dtype: DType): boolean {
  return dtype !== 'string' && dtype !== 'int64';
}

/**
 * Per row up to five labels, best first, when the first output that may be scores holds one number
 * per label and row.
 *
 * Scores that are no finite numbers cannot be ranked and are left out.
 */
export function topLabels(
  outputs: NamedTensors,
  signature: Signature,
  labels: readonly string[] | null,
  rows: number,
): ScoredLabel[][] | undefined {
  const first = inOrder(outputs, signature).find(([, { dtype }]) => mayBeScores(dtype))?.[1];
  if (!first || !labels || labels.length < 2) return undefined;
  if (first.shape.at(-1) !== labels.length || elementCount(first.shape) !== rows * labels.length) {
    return undefined;
  }
  const values = valuesOf(first);
  if (!isNumbers(values)) return undefined;
  return Array.from({ length: rows }, (_, row) => {
    const scores = values.subarray(row * labels.length, (row + 1) * labels.length);
    return best(scores).map((place) => ({ label: labels[place] ?? '', score: scores[place] ?? 0 }));
  });
}

/** The places of the highest scores; of equal ones the first stands first. */
function best(scores: Numbers): number[] {
  const places: number[] = [];
  const scoreAt = (place: number): number => scores[place] ?? -Infinity;
  scores.forEach((score, place) => {
    if (!Number.isFinite(score)) return;
    if (places.length === MAX_LABELS && score <= scoreAt(places[MAX_LABELS - 1] ?? 0)) return;
    const rank = places.findIndex((other) => scoreAt(other) < score);
    places.splice(rank < 0 ? places.length : rank, 0, place);
    if (places.length > MAX_LABELS) places.pop();
  });
  return places;
}
