import { isAlias, isModelName } from '../common/model-ref';
import { BadQueryError, oneOf, text, textThat, time, wholeNumber } from '../http/query';
import { PREDICTION_STATUSES } from './prediction.doc';
import { type PredictionFilter } from './predictions.repository';

/** The parameters by which every route that answers with many predictions can be narrowed. */
export const PREDICTION_FILTERS = {
  model: textThat(isModelName, 'a model name'),
  version: wholeNumber(1, 999_999_999_999_999),
  alias: textThat(isAlias, 'an alias'),
  status: oneOf(PREDICTION_STATUSES),
  callerId: text,
  since: time,
  until: time,
  label: text,
};

/** @throws BadQueryError for what no prediction can match, or no index can find */
export function assertUsable({ model, version, alias, since, until }: PredictionFilter): void {
  if (model === undefined && (version !== undefined || alias !== undefined)) {
    const path = version === undefined ? 'alias' : 'version';
    throw badQuery(path, 'needs model beside it: versions and aliases are counted per model');
  }
  if (since && until && since >= until) throw badQuery('until', 'must be after since');
}

export function badQuery(path: string, message: string): BadQueryError {
  return new BadQueryError(`Query parameter ${path}: ${message}`, { faults: [{ path, message }] });
}
