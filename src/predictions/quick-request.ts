import { StoreError } from '../common/errors';
import { type Signature } from '../common/tensor';
import { parseStrictJson } from '../http/strict-json';
import { readNumberLists } from './number-lists';
import { type PredictForm } from './outputs-json';
import { MAX_ROWS, type ParsedInputs } from './parse-inputs';
import { type PredictRequest, readOptions } from './predict-request';

/** A body whose first key is that of the inputs. */
const HEAD = /^[ \t\n\r]*\{[ \t\n\r]*"(instances|inputs)"[ \t\n\r]*:/;
/** A body that ends behind them. */
const END = /^[ \t\n\r]*\}[ \t\n\r]*$/;
const COMMA = /^[ \t\n\r]*,/;

/** More white space, or more behind the inputs, is left to the reader that takes everything. */
const HEAD_BYTES = 64;
const TAIL_BYTES = 4096;

/**
 * Reads the body that most predictions have: the numbers of one float32 input, and behind them
 * nothing but an id and tags.
 *
 * What it reads is what `readRequest` would make of the same body, only sooner.
 *
 * @returns null for any other body, sound or not
 * @throws InvalidInputError for id and tags that `readRequest` would refuse, too
 */
export function readQuickRequest(body: Buffer, signature: Signature): PredictRequest | null {
  const quick = readQuickInputs(body, signature);
  if (!quick) return null;
  const { others, ...request } = quick;
  const { id, tags } = readOptions(others);
  return { ...request, callerId: id, tags: tags ?? {} };
}

/** Inputs that were read, and what the body says behind them. */
export interface QuickInputs extends ParsedInputs {
  readonly form: PredictForm;
  readonly others: Readonly<Record<string, unknown>>;
}

/**
 * Reads a body that begins with the numbers of one float32 input, under the key `instances` or
 * `inputs`, as every protocol that has these keys understands them.
 *
 * @returns null for any other body, sound or not
 */
export function readQuickInputs(body: Buffer, { inputs }: Signature): QuickInputs | null {
  const [spec] = inputs;
  if (!spec || inputs.length > 1 || spec.dtype !== 'float32' || spec.shape[0] !== -1) return null;
  const head = HEAD.exec(body.toString('latin1', 0, HEAD_BYTES));
  if (!head) return null;
  const lists = readNumberLists(body, head[0].length, spec.shape);
  if (!lists) return null;
  const [rows = 0] = lists.shape;
  const others = readTail(body.subarray(lists.end));
  if (!others || rows > MAX_ROWS) return null;
  return {
    inputs: { [spec.name]: { dtype: 'float32', shape: lists.shape, data: lists.data } },
    rows,
    form: head[1] === 'instances' ? 'rows' : 'columns',
    others,
  };
}

/** What an object holds behind its first member; null where another reader has to look. */
function readTail(tail: Buffer): Readonly<Record<string, unknown>> | null {
  if (tail.length > TAIL_BYTES) return null;
  const text = tail.toString('latin1');
  if (END.test(text)) return {};
  const comma = COMMA.exec(text);
  if (!comma) return null;
  try {
    const bytes = Buffer.concat([Buffer.from('{'), tail.subarray(comma[0].length)]);
    const rest = parseStrictJson(bytes) as Readonly<Record<string, unknown>>;
    // Nothing behind a comma is no JSON, and inputs must not come twice.
    const isPlain = !('instances' in rest) && !('inputs' in rest) && Object.keys(rest).length > 0;
    return isPlain ? rest : null;
  } catch (error) {
    // The reader of everything says where in the whole body the fault is.
    if (error instanceof StoreError) return null;
    throw error;
  }
}
