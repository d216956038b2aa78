import { isCallerId } from '../../predictions/predict-request';
import { replaceLong } from './exact-json';
import { type Datatype, DATATYPES, isDatatype } from './oip-datatypes';
import { BadOipRequestError, OipUnsupportedError } from './oip.errors';

/** One input as the JSON part describes it. */
export interface SentInput {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** Either the elements themselves, or how many bytes they have behind the JSON. */
  readonly data?: unknown;
  readonly binaryBytes?: number;
}

/** One output that was asked for. */
export interface AskedOutput {
  readonly name: string;
  readonly binary: boolean;
  /** How many classes to give in place of the values. */
  readonly classes?: number;
}

/** The JSON part of a request, checked as far as the model does not matter. */
export interface Envelope {
  readonly callerId?: string;
  readonly inputs: readonly SentInput[];
  /** Null for all of them. */
  readonly outputs: readonly AskedOutput[] | null;
  /** Whether outputs that were not named come in binary form. */
  readonly binaryOutput: boolean;
  /** How long the request may wait for an executor. */
  readonly timeoutMs?: number;
}

/** More inputs and outputs than any model has. */
const MAX_TENSORS = 1000;
/** More dimensions than any model has. */
const MAX_RANK = 32;

type JsonObject = Readonly<Record<string, unknown>>;

/** @throws BadOipRequestError, OipUnsupportedError */
export function readEnvelope(body: unknown): Envelope {
  if (!isObject(body)) throw new BadOipRequestError('The body must be a JSON object with inputs');
  const { id, inputs, outputs } = body;
  const callerId = readId(id);
  const { binaryOutput, timeoutMs } = readParameters(parametersOf(body, 'parameters'));
  const sent = listOf(inputs, 'inputs').map(readInput);
  if (sent.length === 0) throw new BadOipRequestError('inputs must name at least one tensor');
  const asked =
    outputs === undefined || outputs === null
      ? []
      : listOf(outputs, 'outputs').map((output, at) => readOutput(output, at, binaryOutput));
  return {
    ...(callerId === undefined ? {} : { callerId }),
    inputs: sent,
    outputs: asked.length === 0 ? null : asked,
    binaryOutput,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function readId(id: unknown): string | undefined {
  if (id === undefined || id === null || id === '') return undefined;
  if (typeof id === 'string' && isCallerId(id)) return id;
  throw new BadOipRequestError('id must be a text of 1 to 256 characters');
}

function readParameters(parameters: JsonObject): Pick<Envelope, 'binaryOutput' | 'timeoutMs'> {
  for (const [name, value] of Object.entries(parameters)) {
    const isIdle = value === 0 || value === '' || value === false;
    if (/^sequence_(?:id|start|end)$/.test(name) && !isIdle) {
      throw new BadOipRequestError(
        `Parameter ${name} is refused: models here keep no state between requests, so there are no sequences`,
      );
    }
    if (name === 'headers' || name.startsWith('triton_')) {
      throw new BadOipRequestError(
        `Parameter ${quote(name)} is reserved, and means nothing to this server`,
      );
    }
  }
  const { binary_data_output: binaryOutput = false, timeout = 0, priority = 0 } = parameters;
  if (typeof binaryOutput !== 'boolean') {
    throw new BadOipRequestError('Parameter binary_data_output must be true or false');
  }
  // Requests are served in the order in which they came, whatever their priority.
  if (!isCount(priority)) {
    throw new BadOipRequestError('Parameter priority must be a whole number from 0');
  }
  if (!isCount(timeout)) {
    throw new BadOipRequestError('Parameter timeout must be a whole number of microseconds');
  }
  return { binaryOutput, ...(timeout === 0 ? {} : { timeoutMs: timeout / 1000 }) };
}

function readInput(input: unknown, at: number): SentInput {
  const path = `inputs[${at}]`;
  if (!isObject(input)) throw new BadOipRequestError(`${path} must be an object`);
  const { shape, datatype, data } = input;
  const name = nameOf(input, path);
  if (!isDatatype(datatype)) {
    throw new BadOipRequestError(
      `${path}.datatype must be one of ${Object.keys(DATATYPES).join(', ')}`,
    );
  }
  if (!Array.isArray(shape) || shape.length > MAX_RANK || !shape.every(isCount)) {
    throw new BadOipRequestError(
      `${path}.shape must be a list of at most ${MAX_RANK} whole numbers from 0`,
    );
  }
  const parameters = parametersOf(input, `${path}.parameters`);
  assertNoSharedMemory(parameters, path);
  const binaryBytes = parameters['binary_data_size'];
  if (binaryBytes !== undefined && !isCount(binaryBytes)) {
    throw new BadOipRequestError(
      `${path}.parameters.binary_data_size must be a whole number of bytes`,
    );
  }
  if ((binaryBytes === undefined) === (data === undefined)) {
    throw new BadOipRequestError(
      `${path} must have either data or the parameter binary_data_size, ${data === undefined ? 'and has neither' : 'not both'}`,
    );
  }
  return {
    name,
    datatype,
    shape: shape,
    ...(binaryBytes === undefined ? { data } : { binaryBytes }),
  };
}

function readOutput(output: unknown, at: number, binaryOutput: boolean): AskedOutput {
  const path = `outputs[${at}]`;
  if (!isObject(output)) throw new BadOipRequestError(`${path} must be an object`);
  const name = nameOf(output, path);
  const parameters = parametersOf(output, `${path}.parameters`);
  assertNoSharedMemory(parameters, path);
  const { binary_data: binary = binaryOutput, classification: classes = 0 } = parameters;
  if (typeof binary !== 'boolean') {
    throw new BadOipRequestError(`${path}.parameters.binary_data must be true or false`);
  }
  if (!isCount(classes)) {
    throw new BadOipRequestError(`${path}.parameters.classification must be a whole number from 0`);
  }
  return { name, binary, ...(classes === 0 ? {} : { classes }) };
}

function assertNoSharedMemory(parameters: JsonObject, path: string): void {
  if (!Object.keys(parameters).some((name) => name.startsWith('shared_memory_'))) return;
  throw new OipUnsupportedError(
    `${path} lies in shared memory, which this server does not have; send it in the body`,
  );
}

function nameOf({ name }: JsonObject, path: string): string {
  if (typeof name === 'string' && name !== '') return name;
  throw new BadOipRequestError(`${path}.name must be a text`);
}

/** Parameters are strings, numbers and booleans. Those that nobody knows mean nothing. */
function parametersOf({ parameters }: JsonObject, path: string): JsonObject {
  if (parameters === undefined || parameters === null) return {};
  if (!isObject(parameters)) throw new BadOipRequestError(`${path} must be an object`);
  return Object.fromEntries(
    Object.entries(parameters).map(([name, given]) => {
      const value = replaceLong(given, Number);
      if (['string', 'number', 'boolean'].includes(typeof value)) return [name, value];
      throw new BadOipRequestError(
        `${path}.${name.slice(0, 60)} must be a string, a number or a boolean`,
      );
    }),
  );
}

function listOf(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new BadOipRequestError(`${path} must be a list`);
  if (value.length > MAX_TENSORS) {
    throw new BadOipRequestError(`${path} has ${value.length} tensors, more than ${MAX_TENSORS}`);
  }
  return value;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Text of the caller, short enough for a message. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
