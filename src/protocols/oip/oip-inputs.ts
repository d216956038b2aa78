import { isUtf8 } from 'node:buffer';

import { elementCount, type Tensor, type TensorSpec } from '../../common/tensor';
import { valuesOf } from '../../common/tensor-values';
import { type FaultList } from '../../predictions/fault-list';
import { indexPath } from '../../predictions/input-path';
import { MAX_STRING_BYTES, NATIVE_ELEMENTS } from '../../predictions/native-elements';
import { describeSpec, parseTensor } from '../../predictions/parse-tensor';
import { isBooleans } from '../../predictions/raw-tensor';
import { replaceLong } from './exact-json';
import {
  DATATYPE_OF,
  DATATYPES,
  factsOf,
  fits,
  numbersIn,
  type Numbers,
  toBytes,
} from './oip-datatypes';
import { quote, type SentInput } from './oip-envelope';

/** One input with where it stands and which input of the model it is. */
export interface Addressed {
  readonly sent: SentInput;
  readonly spec: TensorSpec;
  /** E.g. `inputs[0]`. */
  readonly path: string;
}

/** Finds the input of the model for each that was sent: every one once, by its name. */
export function addressInputs(
  inputs: readonly SentInput[],
  specs: readonly TensorSpec[],
  faults: FaultList,
): Addressed[] {
  const found = new Map<string, Addressed>();
  for (const [at, sent] of inputs.entries()) {
    const path = `inputs[${at}]`;
    const spec =
      specs.find(({ name }) => name === sent.name) ??
      specs.find(({ name }) => name === sent.name.replace(/:0$/, ''));
    if (!spec) {
      const names = specs.map(({ name }) => name).join(', ');
      faults.add(
        () => path,
        () => `is ${quote(sent.name)}, which is no input of the model; it takes ${names}`,
      );
    } else if (found.has(spec.name)) {
      faults.add(
        () => path,
        () => `gives ${quote(spec.name)} a second time`,
      );
    } else {
      checkHeader({ sent, spec, path }, faults);
      found.set(spec.name, { sent, spec, path });
    }
  }
  for (const spec of specs) {
    if (found.has(spec.name)) continue;
    faults.add(
      () => 'inputs',
      () => `has no ${quote(spec.name)} (${describeSpec(spec)})`,
    );
  }
  return [...found.values()];
}

function checkHeader({ sent, spec, path }: Addressed, faults: FaultList): void {
  const { shape, datatype } = sent;
  const agrees =
    shape.length === spec.shape.length &&
    shape.every((size, at) => size > 0 && [-1, size].includes(spec.shape[at] ?? 0));
  if (!agrees) {
    faults.add(
      () => `${path}.shape`,
      () => `is [${shape.join(', ')}], the model takes ${describeSpec(spec)}`,
    );
  }
  if (!fits(datatype, spec.dtype)) {
    faults.add(
      () => `${path}.datatype`,
      () => `is ${datatype}, the model takes ${DATATYPE_OF[spec.dtype]} (${describeSpec(spec)})`,
    );
  }
}

/**
 * Reads an input from its bytes: of the model's own type they are the tensor, not a copy of it.
 *
 * @returns null after adding at least one fault
 */
export function readBinary(
  { sent, spec, path }: Addressed,
  bytes: Buffer,
  faults: FaultList,
): Tensor | null {
  const { datatype, shape } = sent;
  const { dtype } = spec;
  const known = faults.size;
  const count = elementCount(shape);
  const fault = (message: string): void => {
    faults.add(
      () => path,
      () => message,
    );
  };
  if (datatype === 'BYTES') {
    const wrong = textsFault(bytes, count);
    if (wrong !== null) fault(wrong);
    return wrong === null ? { dtype, shape, data: bytes } : null;
  }
  const wanted = count * DATATYPES[datatype].bytes;
  if (bytes.length !== wanted) {
    fault(`has ${bytes.length} bytes, a ${datatype} of [${shape.join(', ')}] has ${wanted}`);
    return null;
  }
  if (datatype === 'BOOL') {
    if (!isBooleans(bytes)) fault('has bytes other than 0 and 1, the model takes BOOL');
    return faults.size > known ? null : { dtype, shape, data: bytes };
  }
  if (DATATYPE_OF[dtype] === datatype) return { dtype, shape, data: bytes };
  const data = convert(numbersIn(datatype, bytes), spec, path, faults);
  return faults.size > known ? null : { dtype, shape, data };
}

/**
 * Reads an input from the lists of the JSON part, nested by its shape or flat.
 *
 * @returns null after adding at least one fault
 */
export function readListed({ sent, spec, path }: Addressed, faults: FaultList): Tensor | null {
  const { datatype, shape, data } = sent;
  const { carrier } = factsOf(datatype);
  if (datatype === 'BF16') {
    faults.add(
      () => path,
      () => 'is BF16, which JSON does not carry; send it as binary data',
    );
    return null;
  }
  const known = faults.size;
  const given = replaceLong(data, (digits) => (carrier === 'int64' ? digits : Number(digits)));
  const isFlat = Array.isArray(given) && !Array.isArray(given[0]);
  const listed: TensorSpec = {
    name: spec.name,
    dtype: carrier,
    shape: isFlat ? [elementCount(shape)] : shape,
  };
  const pathOf = (indices: readonly number[]): string => indexPath(`${path}.data`, indices);
  const tensor = parseTensor(given, listed, pathOf, faults, NATIVE_ELEMENTS);
  if (!tensor) return null;
  if (carrier === spec.dtype && factsOf(datatype).range === undefined) return { ...tensor, shape };
  const values = valuesOf(tensor) as Numbers;
  checkRange(values, sent, path, faults);
  const converted =
    carrier === spec.dtype ? tensor.data : convert(values, spec, `${path}.data`, faults);
  return faults.size > known ? null : { dtype: spec.dtype, shape, data: converted };
}

function checkRange(
  values: Numbers,
  { datatype }: SentInput,
  path: string,
  faults: FaultList,
): void {
  const { range } = factsOf(datatype);
  if (!range) return;
  for (let at = 0; at < values.length; at++) {
    const value = values[at] ?? 0;
    if (value >= range[0] && value <= range[1]) continue;
    faults.add(
      () => `${path}.data`,
      () => `has ${value} at place ${at}, which is no ${datatype}`,
    );
  }
}

function convert(values: Numbers, spec: TensorSpec, path: string, faults: FaultList): Uint8Array {
  return toBytes(values, spec.dtype, (position, value) => {
    faults.add(
      () => path,
      () =>
        `has ${value} at place ${position}, which the model cannot take (${describeSpec(spec)})`,
    );
  });
}

const LENGTH_BYTES = 4;

/** What is wrong with texts that each stand behind their length, or null. */
function textsFault(bytes: Buffer, count: number): string | null {
  let at = 0;
  let texts = 0;
  while (at < bytes.length) {
    const start = at + LENGTH_BYTES;
    const end = start > bytes.length ? Infinity : start + bytes.readUInt32LE(at);
    if (end > bytes.length) return `ends within element ${texts}`;
    const wrong = textFault(bytes.subarray(start, end));
    if (wrong !== null) return `has element ${texts}, which ${wrong}`;
    at = end;
    texts++;
  }
  return texts === count ? null : `has ${texts} elements, its shape ${count}`;
}

/** Why bytes are no text of a tensor, or null. */
export function textFault(text: Uint8Array): string | null {
  if (text.length > MAX_STRING_BYTES) return `is longer than ${MAX_STRING_BYTES} bytes`;
  if (!isUtf8(text)) return 'is not UTF-8; tensors of BYTES hold texts here';
  return text.includes(0) ? 'holds a NUL character' : null;
}
