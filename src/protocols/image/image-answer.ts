import { type PredictionAnswer } from '../../predictions/prediction.answer';
import { type JsonElement } from '../../predictions/tensor-json';

/** What the image service says of a prediction. */
export interface ImageAnswer {
  readonly filename: string | null;
  readonly contenttype: string | null;
  /** The values of the first output, flat; null in lists when they are many, or when it failed. */
  readonly prediction: readonly JsonElement[] | null;
  /** The label, or the place of the highest value where the version has no labels. */
  readonly likely_class: string | number | null;
  readonly input_id: string;
  readonly prediction_id: string;
}

/** A recorded prediction, as `GET` shows it. */
export interface RecordedImageAnswer extends ImageAnswer {
  readonly model: string;
  readonly version: number;
  readonly status: string;
  readonly created_at: string;
}

export function toRecordedImage(record: PredictionAnswer): RecordedImageAnswer {
  const { input, outputs, top } = record;
  const [first] = Object.values(outputs ?? {});
  const prediction = first?.values ?? null;
  return {
    filename: input.filename ?? null,
    contenttype: input.contentType ?? null,
    prediction,
    likely_class: top?.[0]?.[0]?.label ?? highest(prediction),
    input_id: input.digest,
    prediction_id: record.predictionId,
    model: record.model,
    version: record.version,
    status: record.status,
    created_at: record.createdAt,
  };
}

/** The place of the highest number; null for fewer than two, which are no classes. */
export function highest(values: readonly JsonElement[] | null): number | null {
  if (!values || values.length < 2) return null;
  let best: number | null = null;
  values.forEach((value, place) => {
    if (typeof value !== 'number') return;
    if (best === null || value > Number(values[best])) best = place;
  });
  return best;
}
