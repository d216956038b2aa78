import { InvalidInputError } from '../common/errors';
import { parseDto } from '../http/dto.pipe';
import { parseStrictJson } from '../http/strict-json';
import { VersionMetadata } from './version-metadata';

/** The one text field of an upload form. */
export const METADATA_FIELD = 'metadata';

/**
 * Reads what the uploader says about a version, from the form's field or the query parameter.
 *
 * @throws InvalidInputError with every fault, for a field of another name, and when both are given
 */
export function parseUploadMetadata(
  fields: ReadonlyMap<string, string>,
  parameter: string | undefined,
): VersionMetadata {
  const unknown = [...fields.keys()].filter((name) => name !== METADATA_FIELD);
  if (unknown.length > 0) {
    throw new InvalidInputError(
      'The form has a field that means nothing here; metadata is the only one, files need a filename',
      unknown.map((path) => ({ path, message: 'unknown form field' })),
    );
  }
  const field = fields.get(METADATA_FIELD);
  if (field !== undefined && parameter !== undefined) {
    throw new InvalidInputError('The metadata stand in the form and in the query', [
      { path: METADATA_FIELD, message: 'given twice' },
    ]);
  }
  const json = field ?? parameter;
  if (json === undefined || json.trim() === '') return new VersionMetadata();
  return parseDto(VersionMetadata, parseStrictJson(Buffer.from(json)), METADATA_FIELD);
}
