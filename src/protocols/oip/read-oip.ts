import {
  DTYPE_BYTES,
  elementCount,
  type NamedTensors,
  type Signature,
  type Tensor,
  type TensorSpec,
} from '../../common/tensor';
import { packTexts } from '../../common/text-bytes';
import { BadJsonError } from '../../http/strict-json';
import { type ReadBody } from '../../predictions/body-reader';
import { FaultList } from '../../predictions/fault-list';
import { countRows } from '../../predictions/parse-inputs';
import { describeSpec } from '../../predictions/parse-tensor';
import { INLINE_RAW_BYTES, laidOutInput, layOut } from '../../predictions/prediction-input';
import { type PredictionInput } from '../../predictions/prediction.doc';
import { encodeTensorFile } from '../../predictions/tensor-file';
import { parseExactJson } from './exact-json';
import { DATATYPE_OF } from './oip-datatypes';
import { type AskedOutput, type Envelope, readEnvelope } from './oip-envelope';
import { addressInputs, readBinary, readListed, textFault } from './oip-inputs';
import { BadOipRequestError } from './oip.errors';

/** What it takes to understand a body. */
export interface OipContext {
  readonly signature: Signature;
  /** Length of the JSON part; null when there is nothing else. */
  readonly jsonBytes: number | null;
}

/** A request, understood. */
export interface OipRequest extends ReadBody {
  readonly rows: number;
  readonly callerId?: string;
  /** The outputs that were asked for, with their names in the signature; null for all. */
  readonly outputs: readonly AskedOutput[] | null;
  readonly binaryOutput: boolean;
  readonly timeoutMs?: number;
  /** Works out what will be stored where that takes a while, while the model computes. */
  readonly makeInput?: () => Promise<PredictionInput>;
}

/** The JSON part of a body with what it says, and the bytes behind it. */
export interface OpenedBody {
  readonly envelope: Envelope;
  readonly binary: Buffer;
}

/** @throws BadOipRequestError, OipUnsupportedError, BadJsonError, JsonTooComplexError */
export function openBody(body: Buffer, { signature, jsonBytes }: OipContext): OpenedBody {
  const end = jsonBytes ?? body.length;
  if (end > body.length) {
    throw new BadOipRequestError(
      `Inference-Header-Content-Length is ${end}, the body has only ${body.length} bytes`,
    );
  }
  const wantsLong = signature.inputs.some(({ dtype }) => dtype === 'int64');
  if (end === 0) throw new BadJsonError('The body is empty; JSON was expected');
  return {
    envelope: readEnvelope(parseExactJson(body.subarray(0, end), wantsLong)),
    binary: body.subarray(end),
  };
}

/**
 * Whether reading the tensors is more than laying views over bytes: then a large body is read
 * elsewhere. Names and types are judged when it is read.
 */
export function takesWork({ envelope, binary }: OpenedBody, { inputs: specs }: Signature): boolean {
  if (binary.length <= INLINE_RAW_BYTES) return false;
  return envelope.inputs.some(({ name, datatype, binaryBytes }) => {
    const dtype = specs.find((spec) => spec.name === name)?.dtype;
    if (binaryBytes === undefined || dtype === undefined) return false;
    return datatype === 'BYTES' || DATATYPE_OF[dtype] !== datatype;
  });
}

/** `readOpened` of a whole body, on whatever thread. */
export function readOip(body: Buffer, context: OipContext): OipRequest {
  return readOpened(openBody(body, context), context.signature);
}

/** @throws InputsMismatchError with every fault; BadOipRequestError */
export function readOpened({ envelope, binary }: OpenedBody, signature: Signature): OipRequest {
  const { inputs: specs } = signature;
  const { inputs: sent, ...asked } = envelope;
  const pieces = cut(sent, binary);
  const outputs = asked.outputs && nameOutputs(asked.outputs, signature);
  const faults = new FaultList();
  const addressed = addressInputs(sent, specs, faults);
  faults.throwIfAny(specs);
  const read = new Map<string, Tensor>();
  for (const input of addressed) {
    const bytes = pieces.get(input.sent);
    const tensor = bytes ? readBinary(input, bytes, faults) : readListed(input, faults);
    if (tensor) read.set(input.spec.name, tensor);
  }
  const inputs: NamedTensors = Object.fromEntries(
    specs.flatMap(({ name }) => {
      const tensor = read.get(name);
      return tensor ? [[name, tensor]] : [];
    }),
  );
  const pathOf = (name: string): string =>
    addressed.find(({ spec }) => spec.name === name)?.path ?? 'inputs';
  const rows = countRows(inputs, specs, pathOf, faults);
  faults.throwIfAny(specs);
  return { ...asked, outputs, inputs, rows };
}

/** The bytes of each binary input: together exactly what stands behind the JSON. */
function cut(
  inputs: Envelope['inputs'],
  binary: Buffer,
): ReadonlyMap<Envelope['inputs'][number], Buffer> {
  const pieces = new Map<Envelope['inputs'][number], Buffer>();
  let at = 0;
  for (const input of inputs) {
    if (input.binaryBytes === undefined) continue;
    pieces.set(input, binary.subarray(at, at + input.binaryBytes));
    at += input.binaryBytes;
  }
  if (at !== binary.length) {
    throw new BadOipRequestError(
      `The inputs announce ${at} bytes of binary data, behind the JSON stand ${binary.length}`,
    );
  }
  return pieces;
}

function nameOutputs(
  outputs: readonly AskedOutput[],
  { outputs: specs }: Signature,
): readonly AskedOutput[] {
  const names = new Set<string>();
  return outputs.map((output, at) => {
    const spec =
      specs.find(({ name }) => name === output.name) ??
      specs.find(({ name }) => name === output.name.replace(/:0$/, ''));
    const known = specs.map(({ name }) => name).join(', ');
    if (!spec) {
      throw new BadOipRequestError(`outputs[${at}] is no output of the model; it gives ${known}`);
    }
    if (names.has(spec.name)) {
      throw new BadOipRequestError(`outputs[${at}] asks for ${spec.name} a second time`);
    }
    if (output.classes !== undefined && ['bool', 'string'].includes(spec.dtype)) {
      throw new BadOipRequestError(
        `outputs[${at}] cannot be classified: ${spec.name} is ${DATATYPE_OF[spec.dtype]}`,
      );
    }
    names.add(spec.name);
    return { ...output, name: spec.name };
  });
}

/**
 * How large inputs are stored, while the model computes: without a copy where the body has them in
 * the order of the file.
 */
export function storing(inputs: NamedTensors, binary: Buffer): Pick<OipRequest, 'makeInput'> {
  if (binary.length <= INLINE_RAW_BYTES) return {};
  const headers = Object.entries(inputs)
    .map(([name, { dtype, shape, data }]) => ({ name, dtype, shape, data }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  let at = binary.byteOffset;
  const isInPlace = headers.every(({ data }) => {
    const start = at;
    at += data.byteLength;
    return data.buffer === binary.buffer && data.byteOffset === start;
  });
  const isWhole = at === binary.byteOffset + binary.length;
  const content = isInPlace && isWhole ? layOut(headers, binary) : null;
  return {
    makeInput: async () => await laidOutInput(inputs, content ?? encodeTensorFile(inputs)),
  };
}

/**
 * The shape of the only input of a model when a body of so many bytes is all of it, as batch 1. It
 * may have one open size; null when there is more that the bytes cannot tell.
 */
function rawShape({ dtype, shape }: TensorSpec, bytes: number): readonly number[] | null {
  const one = shape.map((size, at) => (at === 0 && size === -1 ? 1 : size));
  const count = elementCount(one.filter((size) => size !== -1));
  if (dtype === 'string') return count === 1 ? one.map(() => 1) : null;
  if (one.filter((size) => size === -1).length > 1) return null;
  const open = Math.max(1, Math.floor(bytes / (count * DTYPE_BYTES[dtype])));
  return one.map((size) => (size === -1 ? open : size));
}

/** Whether a body can be the only input of a model, going by its length. */
export function bringsOneTensor({ length }: Buffer, { inputs: specs }: Signature): boolean {
  const [spec] = specs;
  const shape = spec && specs.length === 1 ? rawShape(spec, length) : null;
  if (!spec || !shape) return false;
  return spec.dtype === 'string' || elementCount(shape) * DTYPE_BYTES[spec.dtype] === length;
}

/**
 * Reads a body that is nothing but one tensor, as batch 1; every output comes in binary form.
 *
 * @throws BadOipRequestError, InputsMismatchError
 */
export function readOipRaw(body: Buffer, { inputs: specs }: Signature): OipRequest {
  const [spec] = specs;
  if (specs.length !== 1 || !spec) {
    throw new BadOipRequestError(
      `A body without JSON is one tensor, the model takes ${specs.length}; send JSON before them`,
    );
  }
  const shape = rawShape(spec, body.length);
  if (!shape) {
    throw new BadOipRequestError(
      `A body without JSON cannot tell every size of ${describeSpec(spec)}; send JSON before it`,
    );
  }
  const datatype = DATATYPE_OF[spec.dtype];
  const sent = { name: spec.name, datatype, shape, binaryBytes: body.length };
  const bytes = datatype === 'BYTES' ? asText(body) : body;
  const faults = new FaultList();
  const tensor = readBinary({ sent, spec, path: 'body' }, bytes, faults);
  faults.throwIfAny(specs);
  const inputs = tensor ? { [spec.name]: tensor } : {};
  return { inputs, rows: 1, outputs: null, binaryOutput: true, ...storing(inputs, bytes) };
}

/** One element behind its length, as tensors of texts have it. */
function asText(body: Buffer): Buffer {
  const wrong = textFault(body);
  if (wrong !== null) throw new BadOipRequestError(`The body ${wrong}`);
  const { buffer, byteOffset, byteLength } = packTexts([body]);
  return Buffer.from(buffer, byteOffset, byteLength);
}
