import { MAX_ROWS } from '../../predictions/parse-inputs';
import { BadRequestBodyError } from './tfserving.errors';

/** An object of a body that was read. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && value.constructor === Object;
}

/** @throws BadRequestBodyError */
export function assertRows(rows: readonly unknown[], key: string): void {
  if (rows.length === 0) throw new BadRequestBodyError(`No values in '${key}' array`);
  if (rows.length > MAX_ROWS) {
    throw new BadRequestBodyError(
      `'${key}' has ${rows.length} elements, at most ${MAX_ROWS} are taken at once`,
    );
  }
}
