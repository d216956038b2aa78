import { BadPredictionIdError } from './predictions.errors';

const ID = /^[0-9a-f]{24}$/i;

export function isPredictionId(text: string): boolean {
  return ID.test(text);
}

/** @throws BadPredictionIdError */
export function parsePredictionId(id: string): string {
  if (!isPredictionId(id)) {
    throw new BadPredictionIdError('An id of a prediction has 24 hexadecimal digits', {
      id: id.slice(0, 60),
    });
  }
  return id.toLowerCase();
}
