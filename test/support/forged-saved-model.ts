/** Bytes of protobuf messages, written one field at a time. */
function varint(value: number): Buffer {
  let left = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    bytes.push(Number(left & 0x7fn) | (left > 0x7fn ? 0x80 : 0));
    left >>= 7n;
  } while (left > 0n);
  return Buffer.from(bytes);
}

export function field(number: number, value: number | string | Uint8Array): Buffer {
  if (typeof value === 'number') return Buffer.concat([varint(number * 8), varint(value)]);
  const bytes = Buffer.from(value as string);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

export function message(...fields: readonly Uint8Array[]): Buffer {
  return Buffer.concat(fields);
}

function entry(number: number, key: string, value: Uint8Array): Buffer {
  return field(number, message(field(1, key), field(2, value)));
}

/** Codes of TensorFlow's types. */
export const DT = { float: 1, double: 2, int32: 3, uint8: 4, string: 7, int64: 9, bool: 10 };

export interface ForgedNode {
  readonly name: string;
  readonly op: string;
  readonly inputs?: readonly string[];
  /** Attributes as encoded values: `type`, `func` and the like below make them. */
  readonly attrs?: Readonly<Record<string, Uint8Array>>;
}

export const attr = {
  text: (value: string) => field(2, value),
  bool: (value: boolean) => field(5, value ? 1 : 0),
  type: (value: number) => field(6, value),
  shape: (shape: readonly number[]) => field(7, shapeOf(shape)),
  func: (name: string, attrs: Readonly<Record<string, Uint8Array>> = {}) =>
    field(
      10,
      message(field(1, name), ...Object.entries(attrs).map(([key, value]) => entry(2, key, value))),
    ),
  placeholder: (name: string) => field(9, name),
};

function shapeOf(shape: readonly number[]): Buffer {
  return message(...shape.map((size) => field(2, field(1, size))));
}

export function nodeBytes({ name, op, inputs = [], attrs = {} }: ForgedNode): Buffer {
  return message(
    field(1, name),
    field(2, op),
    ...inputs.map((input) => field(3, input)),
    ...Object.entries(attrs).map(([key, value]) => entry(5, key, value)),
  );
}

export interface ForgedTensor {
  readonly tensor: string;
  readonly dtype: number;
  readonly shape: readonly number[];
}

function tensorInfo({ tensor, dtype, shape }: ForgedTensor): Buffer {
  return message(field(1, tensor), field(2, dtype), field(3, shapeOf(shape)));
}

export interface ForgedFunction {
  readonly name: string;
  readonly args?: readonly string[];
  /** The argument that stands for as many tensors as an attribute says. */
  readonly listArg?: string;
  /** What other functions are implementations of as well. */
  readonly implements?: string;
  readonly nodes: readonly ForgedNode[];
}

export interface ForgedModel {
  readonly nodes?: readonly ForgedNode[];
  readonly functions?: readonly ForgedFunction[];
  readonly inputs?: Readonly<Record<string, ForgedTensor>>;
  readonly outputs?: Readonly<Record<string, ForgedTensor>>;
  readonly signature?: string;
  readonly initOp?: string;
  readonly assets?: readonly { readonly tensor: string; readonly filename: string }[];
  readonly restoreOp?: string;
  readonly filenameTensor?: string;
  readonly tags?: readonly string[];
}

/** A placeholder `x` of floats, `[-1, 3]`. */
export const PLACEHOLDER: ForgedNode = {
  name: 'x',
  op: 'Placeholder',
  attrs: { dtype: attr.type(DT.float), shape: attr.shape([-1, 3]) },
};

/** A node of one input and one output, both floats. */
export function unary(name: string, op: string, input = 'x'): ForgedNode {
  return { name, op, inputs: [input], attrs: { T: attr.type(DT.float) } };
}

/** The bytes of a `saved_model.pb`; without more it computes `y = relu(x)`. */
export function forgeSavedModel(model: ForgedModel = {}): Buffer {
  return message(field(1, 1), field(2, metaGraph(model)));
}

function functionBytes({ name, args = [], nodes, ...more }: ForgedFunction): Buffer {
  const argBytes = args.map((arg) =>
    field(2, message(field(1, arg), ...(arg === more.listArg ? [field(5, 'N')] : []))),
  );
  return message(
    field(1, message(field(1, name), ...argBytes)),
    ...nodes.map((node) => field(3, nodeBytes(node))),
    ...(more.implements === undefined
      ? []
      : [entry(5, 'api_implements', attr.text(more.implements))]),
  );
}

function metaGraph({
  nodes = [PLACEHOLDER, unary('y', 'Relu')],
  functions = [],
  inputs = { x: { tensor: 'x:0', dtype: DT.float, shape: [-1, 3] } },
  outputs = { y: { tensor: 'y:0', dtype: DT.float, shape: [-1, 3] } },
  signature = 'serving_default',
  initOp,
  assets = [],
  restoreOp,
  filenameTensor,
  tags = ['serve'],
}: ForgedModel): Buffer {
  const library = functions.map((one) => field(1, functionBytes(one)));
  const tensors = (number: number, all: Readonly<Record<string, ForgedTensor>>): Buffer[] =>
    Object.entries(all).map(([name, tensor]) => entry(number, name, tensorInfo(tensor)));
  return message(
    field(1, message(...tags.map((tag) => field(4, tag)))),
    field(
      2,
      message(
        ...nodes.map((node) => field(1, nodeBytes(node))),
        field(2, message(...library)),
        field(4, field(1, 1482)),
      ),
    ),
    ...(restoreOp === undefined
      ? []
      : [field(3, message(field(1, filenameTensor ?? ''), field(3, restoreOp)))]),
    entry(5, signature, message(...tensors(1, inputs), ...tensors(2, outputs))),
    ...(initOp === undefined
      ? []
      : [entry(5, '__saved_model_init_op', entry(2, '__saved_model_init_op', field(1, initOp)))]),
    ...assets.map(({ tensor, filename }) =>
      field(6, message(field(1, field(1, tensor)), field(2, filename))),
    ),
  );
}
