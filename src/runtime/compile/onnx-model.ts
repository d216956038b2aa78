import { type LateBytes, ProtobufWriter } from './protobuf-writer';

/** The operator set that compiled models ask for, and the file format version that goes with it. */
const OPSET = 17;
const IR_VERSION = 8;

/** Numbers of `TensorProto.DataType`. */
const DATA_TYPES = { float32: 1, int32: 6, int64: 7, bool: 9 } as const;
export type OnnxType = keyof typeof DATA_TYPES;

/** Attributes of a node: ONNX tells whole numbers from floats, JavaScript does not. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly text: string }
  | { readonly ints: readonly number[] }
  | { readonly texts: readonly string[] }
  | { readonly floats: readonly number[] };
export type OnnxAttributes = Readonly<Record<string, OnnxAttribute>>;

export interface OnnxNode {
  readonly op: string;
  /** Inputs that are left out have an empty name. */
  inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: OnnxAttributes;
}

export interface OnnxTensor {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly data: Uint8Array | LateBytes;
}

export interface OnnxEndpoint {
  readonly name: string;
  readonly type: OnnxType;
  /** `-1` where the caller chooses. */
  readonly shape: readonly number[];
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxEndpoint[];
  readonly outputs: readonly OnnxEndpoint[];
}

/** A graph in the file format of ONNX (onnx.proto3, ModelProto). */
export function encodeOnnxModel(graph: OnnxGraph): Uint8Array {
  const model = new ProtobufWriter()
    .int(1, IR_VERSION)
    .string(2, 'gridstow')
    .message(7, graphProto(graph))
    .message(8, new ProtobufWriter().string(1, '').int(2, OPSET));
  return model.finish();
}

function graphProto({ nodes, initializers, inputs, outputs }: OnnxGraph): ProtobufWriter {
  const writer = new ProtobufWriter();
  for (const node of nodes) writer.message(1, nodeProto(node));
  writer.string(2, 'compiled');
  for (const tensor of initializers) writer.message(5, tensorProto(tensor));
  for (const input of inputs) writer.message(11, valueInfoProto(input));
  for (const output of outputs) writer.message(12, valueInfoProto(output));
  return writer;
}

function nodeProto({ op, inputs, outputs, attributes }: OnnxNode): ProtobufWriter {
  const writer = new ProtobufWriter();
  for (const input of inputs) writer.string(1, input);
  for (const output of outputs) writer.string(2, output);
  writer.string(4, op);
  for (const [name, value] of Object.entries(attributes)) {
    writer.message(5, attributeProto(name, value));
  }
  return writer;
}

function attributeProto(name: string, value: OnnxAttribute): ProtobufWriter {
  const writer = new ProtobufWriter().string(1, name);
  if ('float' in value) return writer.float(2, value.float).int(20, 1);
  if ('int' in value) return writer.int(3, value.int).int(20, 2);
  if ('text' in value) return writer.string(4, value.text).int(20, 3);
  if ('floats' in value) {
    for (const item of value.floats) writer.float(7, item);
    return writer.int(20, 6);
  }
  if ('ints' in value) {
    for (const item of value.ints) writer.int(8, item);
    return writer.int(20, 7);
  }
  for (const item of value.texts) writer.string(9, item);
  return writer.int(20, 8);
}

function tensorProto({ name, type, shape, data }: OnnxTensor): ProtobufWriter {
  const writer = new ProtobufWriter();
  for (const dimension of shape) writer.int(1, dimension);
  return writer.int(2, DATA_TYPES[type]).string(8, name).bytes(9, data);
}

function valueInfoProto({ name, type, shape }: OnnxEndpoint): ProtobufWriter {
  const dimensions = new ProtobufWriter();
  shape.forEach((size, axis) => {
    const dimension = new ProtobufWriter();
    // A name of its own for each open dimension: equal names would promise equal sizes.
    if (size < 0) dimension.string(2, `${name}.${axis}`);
    else dimension.int(1, size);
    dimensions.message(1, dimension);
  });
  const tensorType = new ProtobufWriter().int(1, DATA_TYPES[type]).message(2, dimensions);
  return new ProtobufWriter()
    .string(1, name)
    .message(2, new ProtobufWriter().message(1, tensorType));
}
