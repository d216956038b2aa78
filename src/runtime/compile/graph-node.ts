import { NotCompiledError } from '../runtime.errors';
import { type ComputedType, type Constant } from './constant';
import { type GraphBuilder } from './graph-builder';
import { type Value } from './value';

/** An attribute as the JSON form of a TensorFlow graph has it; whole numbers are texts there. */
interface AttrJson {
  readonly s?: string | readonly number[];
  readonly i?: string | number;
  readonly f?: string | number;
  readonly b?: boolean;
  readonly type?: string | number;
  readonly shape?: ShapeJson;
  readonly list?: {
    readonly i?: readonly (string | number)[];
    readonly s?: readonly (string | readonly number[])[];
  };
}
interface ShapeJson {
  readonly unknownRank?: boolean;
  readonly dim?: readonly { readonly size?: string | number }[];
}

export interface NodeJson {
  readonly name: string;
  readonly op: string;
  readonly input?: readonly string[];
  readonly attr?: Readonly<Record<string, AttrJson>>;
}

const TYPES: Readonly<Record<string, ComputedType>> = {
  DT_FLOAT: 'float32',
  DT_HALF: 'float32',
  DT_DOUBLE: 'float32',
  DT_INT32: 'int32',
  DT_INT64: 'int32',
  DT_INT16: 'int32',
  DT_INT8: 'int32',
  DT_UINT8: 'int32',
  DT_BOOL: 'bool',
};

/** A node of a TensorFlow graph with its attributes in plain form. */
export class GraphNode {
  readonly name: string;
  readonly op: string;
  /** Data inputs: `name`, or `name:index` for an output after the first. */
  readonly inputs: readonly string[];

  constructor(private readonly json: NodeJson) {
    this.name = json.name;
    this.op = json.op;
    this.inputs = (json.input ?? []).filter((name) => !name.startsWith('^'));
  }

  text(key: string, otherwise = ''): string {
    const value = this.json.attr?.[key]?.s;
    return value === undefined ? otherwise : decodeText(value);
  }

  texts(key: string): string[] {
    return (this.json.attr?.[key]?.list?.s ?? []).map(decodeText);
  }

  number(key: string, otherwise = 0): number {
    const attr = this.json.attr?.[key];
    return Number(attr?.i ?? attr?.f ?? otherwise);
  }

  numbers(key: string): number[] {
    return (this.json.attr?.[key]?.list?.i ?? []).map(Number);
  }

  flag(key: string): boolean {
    return this.json.attr?.[key]?.b ?? false;
  }

  /** @throws NotCompiledError for a type that compiled models do not compute with */
  type(key: string): ComputedType {
    const type = this.json.attr?.[key]?.type;
    const known = typeof type === 'string' ? TYPES[type] : undefined;
    if (known) return known;
    throw new NotCompiledError(`${this.op} of type ${String(type)} is not compiled`);
  }

  /** Null when not even the rank is known. */
  shape(key: string): number[] | null {
    const shape = this.json.attr?.[key]?.shape;
    if (!shape || shape.unknownRank) return null;
    return (shape.dim ?? []).map(({ size }) => Number(size ?? -1));
  }
}

/** One node to compile, with what its inputs became. */
export interface NodeCall {
  readonly b: GraphBuilder;
  readonly node: GraphNode;
  readonly inputs: readonly Value[];
  /** Whether nothing but this node uses one of its inputs. */
  readonly isOnlyUse: (input: number) => boolean;
}

export type NodeCompiler = (call: NodeCall) => Value | readonly Value[];

export function inputAt({ node, inputs }: NodeCall, index: number): Value {
  const value = inputs[index];
  if (value) return value;
  throw new NotCompiledError(`${node.op} with ${inputs.length} inputs is not compiled`);
}

/** An input that has to be known when the model is compiled: weights, axes, sizes. */
export function constantAt(call: NodeCall, index: number): Constant {
  const { constant } = inputAt(call, index);
  if (constant) return constant;
  throw new NotCompiledError(`${call.node.op} with a computed input ${index} is not compiled`);
}

export function numbersAt(call: NodeCall, index: number): number[] {
  return [...constantAt(call, index).read()];
}

export function numberAt(call: NodeCall, index: number): number {
  return numbersAt(call, index)[0] ?? 0;
}

/** @throws NotCompiledError unless the channels are the last axis */
export function assertChannelsLast({ node }: NodeCall): void {
  const order = node.text('data_format', 'NHWC');
  if (order === 'NHWC' || order === 'NDHWC') return;
  throw new NotCompiledError(`${node.op} with data format ${order} is not compiled`);
}

/** Texts of attributes are base64, or lists of character codes. */
function decodeText(text: string | readonly number[]): string {
  return typeof text === 'string'
    ? Buffer.from(text, 'base64').toString('latin1')
    : String.fromCharCode(...text);
}
