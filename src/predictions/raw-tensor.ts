import { type IncomingMessage } from 'node:http';

import { type Request } from 'express';

import { DTYPE_BYTES, elementCount, type Signature, type TensorSpec } from '../common/tensor';
import { mediaTypeOf } from '../http/media-type';
import { readQuery, text } from '../http/query';
import { FaultList } from './fault-list';
import { MAX_ROWS } from './parse-inputs';
import { type PredictRequest } from './predict-request';
import { laidOutInput, layOut } from './prediction-input';

/** What stands in the query beside a body of raw numbers. */
export interface RawTensorQuery {
  readonly input?: string | undefined;
  readonly id?: string | undefined;
}

/**
 * Reads the query beside a body: none but that of raw numbers has one.
 *
 * @throws BadQueryError
 */
export function readRawTensorQuery(
  request: Pick<IncomingMessage, 'headers'>,
  query: Request['query'],
): RawTensorQuery {
  return readQuery({ query }, bringsRawTensor(request) ? { input: text, id: text } : {});
}

/** Whether a request says that its body is raw numbers. */
export function bringsRawTensor(request: Pick<IncomingMessage, 'headers'>): boolean {
  return mediaTypeOf(request) === 'application/octet-stream';
}

/**
 * Reads a body that is the bytes of the one input: row-major, little-endian, as wide as its type
 * says, one byte for bool. The number of rows follows from its length. The tensor is the body
 * itself, not a copy.
 *
 * @throws InputsMismatchError
 */
export function readRawTensor(
  body: Buffer,
  { input, id }: RawTensorQuery,
  { inputs: specs }: Signature,
): PredictRequest {
  const faults = new FaultList();
  const fault = (path: string, message: string): void => {
    faults.add(
      () => path,
      () => message,
    );
  };
  const [only] = specs;
  const spec = specs.find(({ name }) => name === (input ?? only?.name));
  if (specs.length !== 1) fault('input', 'raw bytes are one tensor, the model takes several');
  else if (!spec)
    fault('input', `is ${JSON.stringify(input)}, the model takes ${only?.name ?? ''}`);
  const shape = spec ? shapeOf(spec, body, fault) : [];
  faults.throwIfAny(specs);
  const { name = '', dtype = 'float32' } = spec ?? {};
  const inputs = { [name]: { dtype, shape, data: body } };
  const content = layOut([{ name, dtype, shape }], body);
  return {
    inputs,
    ...(content ? { makeInput: async () => await laidOutInput(inputs, content) } : {}),
    rows: spec?.shape[0] === -1 ? (shape[0] ?? 1) : 1,
    form: 'columns',
    ...(id === undefined ? {} : { callerId: id }),
    tags: {},
  };
}

/** The shape that the length of the body gives. */
function shapeOf(
  { dtype, shape }: TensorSpec,
  body: Buffer,
  fault: (path: string, message: string) => void,
): readonly number[] {
  const [first, ...rest] = shape;
  if (dtype === 'string' || rest.includes(-1)) {
    fault('input', 'has texts or sizes that a body of raw numbers cannot tell; send JSON');
    return [];
  }
  const isOpen = first === -1;
  const wanted = DTYPE_BYTES[dtype] * elementCount(isOpen ? rest : shape);
  const rows = body.length / wanted;
  if (isOpen ? !Number.isInteger(rows) || rows < 1 : rows !== 1) {
    const unit = isOpen ? `a multiple of ${wanted}` : wanted;
    fault('body', `has ${body.length} bytes, must have ${unit}`);
  } else if (isOpen && rows > MAX_ROWS) {
    fault('body', `has ${rows} rows, at most ${MAX_ROWS} are taken at once`);
  }
  if (dtype === 'bool' && !isBooleans(body)) {
    fault('body', 'has bytes other than 0 and 1, the model takes bool');
  }
  return isOpen ? [rows, ...rest] : shape;
}

const WORD_BYTES = 4;
const NOT_BOOLEAN = 0xfefefefe;

/** Four at a time: one by one, a large body would hold up everybody else. */
export function isBooleans(body: Buffer): boolean {
  const { buffer, byteOffset, length } = body;
  const lead = Math.min(length, -byteOffset & (WORD_BYTES - 1));
  const words = Math.floor((length - lead) / WORD_BYTES);
  const rest = [body.subarray(0, lead), body.subarray(lead + words * WORD_BYTES)];
  if (rest.some((bytes) => bytes.some((byte) => byte > 1))) return false;
  if (words === 0) return true;
  for (const word of new Uint32Array(buffer, byteOffset + lead, words)) {
    if ((word & NOT_BOOLEAN) !== 0) return false;
  }
  return true;
}
