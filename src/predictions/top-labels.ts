import { elementCount, type NamedTensors, type Signature } from '../common/tensor';
import { inOrder } from './outputs-json';
import { valuesOf } from './tensor-values';

/** A label of the version with the score that its model gave. */
export interface ScoredLabel {
  readonly label: string;
  readonly score: number;
}

const MAX_LABELS = 5;

/**
 * Per row up to five labels, best first, when the first output holds one number per label and row.
 *
 * Scores that are no finite numbers cannot be ranked and are left out.
 */
export function topLabels(
  outputs: NamedTensors,
  signature: Signature,
  labels: readonly string[] | null,
  rows: number,
): ScoredLabel[][] | undefined {
  const first = inOrder(outputs, signature)[0]?.[1];
  if (!first || !labels || labels.length < 2) return undefined;
  if (first.shape.at(-1) !== labels.length || elementCount(first.shape) !== rows * labels.length) {
    return undefined;
  }
  const values = valuesOf(first);
  if (!(values instanceof Float32Array || values instanceof Int32Array)) return undefined;
  return Array.from({ length: rows }, (_, row) => {
    const scores = values.subarray(row * labels.length, (row + 1) * labels.length);
    return best(scores).map((place) => ({ label: labels[place] ?? '', score: scores[place] ?? 0 }));
  });
}

/** The places of the highest scores; of equal ones the first stands first. */
function best(scores: Float32Array | Int32Array): number[] {
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
