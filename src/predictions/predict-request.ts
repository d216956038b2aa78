import { Matches, ValidateIf } from 'class-validator';

import { BadSyntaxError, InvalidInputError } from '../common/errors';
import { type Signature } from '../common/tensor';
import { IsTags } from '../http/dto-rules';
import { parseDto } from '../http/dto.pipe';
import { type PredictForm } from './outputs-json';
import { parseColumns, type ParsedInputs, parseRows } from './parse-inputs';
import { type PredictionInput } from './prediction.doc';

/** No half surrogate pairs, which the database would replace, and no NUL. */
const CALLER_ID = /^[^\0\p{Cs}]{1,256}$/u;

export function isCallerId(text: string): boolean {
  return CALLER_ID.test(text);
}

/** Unlike `IsOptional`, which lets null pass. */
const IfSent = (): PropertyDecorator => ValidateIf((_options, value) => value !== undefined);

/** What a caller may send along with the inputs. */
class PredictOptionsDto {
  @IfSent()
  @Matches(CALLER_ID, { message: 'id must be a text of 1 to 256 characters' })
  readonly id?: string;

  @IfSent()
  @IsTags()
  readonly tags?: Record<string, string>;
}

/** A native request, understood. */
export interface PredictRequest extends ParsedInputs {
  readonly form: PredictForm;
  readonly callerId?: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  /** The inputs as they will be stored, where that has been worked out already. */
  readonly input?: PredictionInput | undefined;
  /** Works that out where it takes a while: in turns, while the model computes. */
  readonly makeInput?: (() => Promise<PredictionInput>) | undefined;
}

/**
 * Reads the body of a native prediction: `instances` or `inputs`, perhaps `id` and `tags`.
 *
 * @throws BadSyntaxError for anything but an object
 * @throws InvalidInputError with every fault of the options, or of the inputs
 */
export function readPredictRequest(body: unknown, signature: Signature): PredictRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new BadSyntaxError('The body must be a JSON object with instances or inputs');
  }
  const sent = body as Readonly<Record<string, unknown>>;
  const { id, tags } = readOptions(sent);
  const isRows = 'instances' in body;
  if (isRows === 'inputs' in body) {
    throw new InvalidInputError(
      'Send either instances, a list of rows, or inputs, whole tensors by name',
      [{ path: '', message: isRows ? 'has both instances and inputs' : 'has neither' }],
    );
  }
  const { inputs, rows } = isRows
    ? parseRows(sent['instances'], signature)
    : parseColumns(sent['inputs'], signature);
  return { inputs, rows, form: isRows ? 'rows' : 'columns', callerId: id, tags: tags ?? {} };
}

/**
 * Reads the text fields of a form: `id` is the only one.
 *
 * @throws InvalidInputError with every fault
 */
export function parseCallerId(fields: Readonly<Record<string, string>>): string | undefined {
  const unknown = Object.keys(fields).filter((name) => name !== 'id');
  if (unknown.length > 0) {
    throw new InvalidInputError(
      'The form has a field that means nothing here; id is the only one, images need a filename',
      unknown.map((name) => ({ path: name.slice(0, 60), message: 'unknown form field' })),
    );
  }
  return parseDto(PredictOptionsDto, fields).id;
}

const DATA_KEYS = ['instances', 'inputs'];
const KEYS = [...DATA_KEYS, 'id', 'tags'];

/** @throws InvalidInputError for keys that mean nothing, and for an id or tags that are none */
export function readOptions(
  sent: Readonly<Record<string, unknown>>,
): Pick<PredictOptionsDto, 'id' | 'tags'> {
  const keys = Object.keys(sent).filter((key) => !DATA_KEYS.includes(key));
  if (keys.length === 0) return {};
  const unknown = keys.filter((key) => !KEYS.includes(key));
  if (unknown.length > 0) {
    throw new InvalidInputError(
      `Unknown key ${JSON.stringify(unknown[0]?.slice(0, 60))}; the body takes instances or inputs, id and tags`,
      unknown.slice(0, 20).map((key) => ({ path: key.slice(0, 60), message: hintFor(key) })),
    );
  }
  return parseDto(PredictOptionsDto, Object.fromEntries(keys.map((key) => [key, sent[key]])));
}

function hintFor(key: string): string {
  const letters = key.toLowerCase().replace(/[^a-z]/g, '');
  const meant = KEYS.find(
    (candidate) =>
      candidate === letters ||
      candidate === `${letters}s` ||
      candidate.startsWith(letters.slice(0, 4)),
  );
  return letters.length > 1 && meant !== undefined
    ? `is not known here; did you mean ${meant}?`
    : 'is not known here';
}
