import { ProtobufWriter } from '../../src/runtime/compile/protobuf-writer';
import { FileProbe } from '../../src/formats/probe/file-probe';
import { type InspectedFile, type Inspection } from '../../src/formats/artifact-format';
import { inspectArtifact, type InspectOptions } from '../../src/formats/inspect-artifact';
import { InvalidArtifactError } from '../../src/formats/formats.errors';

/** `TensorProto.DataType`. */
export const ONNX = {
  float: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
} as const;

export interface ForgedTensor {
  readonly name: string;
  readonly type?: number;
  readonly dims?: readonly number[];
  readonly raw?: Uint8Array;
  readonly floats?: readonly number[];
  readonly longs?: readonly number[];
  readonly external?: string;
}

export interface ForgedNode {
  readonly op: string;
  readonly name?: string;
  readonly domain?: string;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly ints?: Readonly<Record<string, number>>;
  readonly tensors?: Readonly<Record<string, ForgedTensor>>;
  readonly graphs?: Readonly<Record<string, ForgedGraph>>;
}

export interface ForgedValue {
  readonly name: string;
  readonly type?: number;
  /** A text is the name of an open dimension; null is no shape at all. */
  readonly dims?: readonly (number | string)[] | null;
  /** `sequence` of floats in place of a tensor. */
  readonly kind?: 'tensor' | 'sequence';
}

export interface ForgedGraph {
  readonly nodes?: readonly ForgedNode[];
  readonly tensors?: readonly ForgedTensor[];
  readonly sparse?: readonly { readonly values: ForgedTensor; readonly dims: readonly number[] }[];
  readonly inputs?: readonly ForgedValue[];
  readonly outputs?: readonly ForgedValue[];
}

export interface ForgedModel extends ForgedGraph {
  readonly ir?: number;
  readonly producer?: string;
  readonly opsets?: Readonly<Record<string, number>>;
  readonly functions?: readonly {
    readonly name: string;
    readonly domain: string;
    readonly inputs: readonly string[];
    readonly outputs: readonly string[];
    readonly nodes: readonly ForgedNode[];
  }[];
}

/** The bytes of an ONNX model; by default one that gives `x` of shape [n, 2] as `y`. */
export function forgeOnnx(model: ForgedModel = {}): Uint8Array {
  const { ir = 10, producer = 'forged', opsets = { '': 21 }, functions = [] } = model;
  const writer = new ProtobufWriter().int(1, ir).string(2, producer);
  writer.message(7, graphProto({ ...identity(), ...model }));
  for (const [domain, release] of Object.entries(opsets)) {
    writer.message(8, new ProtobufWriter().string(1, domain).int(2, release));
  }
  for (const { name, domain, inputs, outputs, nodes } of functions) {
    const body = new ProtobufWriter().string(1, name);
    for (const input of inputs) body.string(4, input);
    for (const output of outputs) body.string(5, output);
    for (const node of nodes) body.message(7, nodeProto(node));
    body.message(9, new ProtobufWriter().string(1, '').int(2, 21));
    writer.message(25, body.string(10, domain));
  }
  return writer.finish();
}

function identity(): ForgedGraph {
  return {
    nodes: [{ op: 'Identity', name: 'same', inputs: ['x'], outputs: ['y'] }],
    inputs: [{ name: 'x', dims: ['n', 2] }],
    outputs: [{ name: 'y', dims: ['n', 2] }],
  };
}

function graphProto(graph: ForgedGraph): ProtobufWriter {
  const { nodes = [], tensors = [], sparse = [], inputs = [], outputs = [] } = graph;
  const writer = new ProtobufWriter();
  for (const node of nodes) writer.message(1, nodeProto(node));
  writer.string(2, 'graph');
  for (const tensor of tensors) writer.message(5, tensorProto(tensor));
  for (const value of inputs) writer.message(11, valueProto(value));
  for (const value of outputs) writer.message(12, valueProto(value));
  for (const { values, dims } of sparse) {
    const indices = tensorProto({ name: '', type: ONNX.int64, dims: [1], longs: [0] });
    const proto = new ProtobufWriter().message(1, tensorProto(values)).message(2, indices);
    for (const dim of dims) proto.int(3, dim);
    writer.message(15, proto);
  }
  return writer;
}

function nodeProto(node: ForgedNode): ProtobufWriter {
  const { op, name = '', domain = '', inputs = [], outputs = [] } = node;
  const writer = new ProtobufWriter();
  for (const input of inputs) writer.string(1, input);
  for (const output of outputs) writer.string(2, output);
  writer.string(3, name).string(4, op);
  const attribute = (key: string): ProtobufWriter => new ProtobufWriter().string(1, key);
  for (const [key, value] of Object.entries(node.ints ?? {})) {
    writer.message(5, attribute(key).int(3, value).int(20, 2));
  }
  for (const [key, tensor] of Object.entries(node.tensors ?? {})) {
    writer.message(5, attribute(key).message(5, tensorProto(tensor)).int(20, 4));
  }
  for (const [key, graph] of Object.entries(node.graphs ?? {})) {
    writer.message(5, attribute(key).message(6, graphProto(graph)).int(20, 5));
  }
  return domain === '' ? writer : writer.string(7, domain);
}

function tensorProto(tensor: ForgedTensor): ProtobufWriter {
  const { name, type = ONNX.float, dims = [], raw, floats, longs, external } = tensor;
  const writer = new ProtobufWriter();
  for (const dim of dims) writer.int(1, dim);
  writer.int(2, type);
  if (floats) writer.bytes(4, new Uint8Array(Float32Array.from(floats).buffer));
  for (const long of longs ?? []) writer.int(7, long);
  writer.string(8, name);
  if (raw) writer.bytes(9, raw);
  if (external !== undefined) {
    writer.message(13, new ProtobufWriter().string(1, 'location').string(2, external)).int(14, 1);
  }
  return writer;
}

function valueProto({ name, type = ONNX.float, dims = [], kind = 'tensor' }: ForgedValue) {
  const tensor = new ProtobufWriter().int(1, type);
  if (dims) {
    const shape = new ProtobufWriter();
    for (const dim of dims) {
      const proto = new ProtobufWriter();
      shape.message(1, typeof dim === 'number' ? proto.int(1, dim) : proto.string(2, dim));
    }
    tensor.message(2, shape);
  }
  const plain = new ProtobufWriter().message(1, tensor);
  const proto =
    kind === 'tensor'
      ? plain
      : new ProtobufWriter().message(4, new ProtobufWriter().message(1, plain));
  return new ProtobufWriter().string(1, name).message(2, proto);
}

/** Files as they are seen after they streamed by, in pieces of one size. */
export async function streamed(
  files: Readonly<Record<string, Uint8Array>>,
  pieceBytes = 64 * 1024,
): Promise<InspectedFile[]> {
  const seen: InspectedFile[] = [];
  for (const [path, content] of Object.entries(files)) {
    const probe = new FileProbe();
    for (let at = 0; at < content.length; at += pieceBytes) {
      await probe.push(content.subarray(at, at + pieceBytes));
    }
    seen.push({ path, bytes: content.length, traits: await probe.finish() });
  }
  return seen;
}

export async function inspectOnnxBytes(
  bytes: Uint8Array,
  options?: InspectOptions,
): Promise<Inspection> {
  return inspectArtifact(await streamed({ 'model.onnx': bytes }), options);
}

/** The faults of a refused model; a test fails when it is accepted. */
export async function onnxFaults(bytes: Uint8Array, options?: InspectOptions): Promise<string[]> {
  try {
    await inspectOnnxBytes(bytes, options);
  } catch (error) {
    if (!(error instanceof InvalidArtifactError)) throw error;
    return (error.details['faults'] as { message: string }[]).map(({ message }) => message);
  }
  throw new RangeError('The model was accepted');
}
