import { type Signature } from '../common/tensor';
import { readNumberLists } from './number-lists';
import { MAX_ROWS } from './parse-inputs';
import { type PredictRequest } from './predict-request';

/** A body whose first key is that of the inputs. */
const HEAD = /^[ \t\n\r]*\{[ \t\n\r]*"(instances|inputs)"[ \t\n\r]*:/;
/** A body that ends behind them. */
const TAIL = /^[ \t\n\r]*\}[ \t\n\r]*$/;

/** More white space than this is left to the reader that takes everything. */
const HEAD_BYTES = 64;

/**
 * Reads the body that most predictions have: nothing but the numbers of one float32 input.
 *
 * What it reads is what `readRequest` would make of the same body, only sooner.
 *
 * @returns null for any other body, sound or not
 */
export function readQuickRequest(body: Buffer, { inputs }: Signature): PredictRequest | null {
  const [spec] = inputs;
  if (!spec || inputs.length > 1 || spec.dtype !== 'float32' || spec.shape[0] !== -1) return null;
  const head = HEAD.exec(body.toString('latin1', 0, HEAD_BYTES));
  if (!head) return null;
  const lists = readNumberLists(body, head[0].length, spec.shape);
  if (!lists || body.length - lists.end > HEAD_BYTES) return null;
  const [rows = 0] = lists.shape;
  if (rows > MAX_ROWS || !TAIL.test(body.toString('latin1', lists.end))) return null;
  return {
    inputs: { [spec.name]: { dtype: 'float32', shape: lists.shape, data: lists.data } },
    rows,
    form: head[1] === 'instances' ? 'rows' : 'columns',
    callerId: undefined,
    tags: {},
  };
}
