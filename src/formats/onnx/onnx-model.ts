import { type ProtoTree } from './proto-tree';

/** A tensor that stands in the file, without its numbers. */
export interface StoredTensor {
  readonly name: string;
  /** `TensorProto.DataType`. */
  readonly type: number;
  readonly dims: readonly number[];
  /** What is there of it: raw bytes, or elements by the field that they stand in. */
  readonly rawBytes: number | null;
  readonly counts: ReadonlyMap<number, number>;
  readonly isExternal: boolean;
}

export interface SparseTensor {
  readonly values: StoredTensor | null;
  readonly indices: StoredTensor | null;
  readonly dims: readonly number[];
}

export interface OnnxNode {
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly tensors: readonly StoredTensor[];
  readonly sparse: readonly SparseTensor[];
  readonly graphs: readonly OnnxGraph[];
}

/** An input or output as the file declares it. */
export interface Declared {
  readonly name: string;
  /** What is not a tensor has none; 0 where the file does not say. */
  readonly type: number | null;
  /** Null where not even the rank is known; -1 where the caller chooses. */
  readonly dims: readonly number[] | null;
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly tensors: readonly StoredTensor[];
  readonly sparse: readonly SparseTensor[];
  readonly inputs: readonly Declared[];
  readonly outputs: readonly Declared[];
}

export interface OnnxFunction {
  readonly key: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly OnnxNode[];
  readonly opsets: ReadonlyMap<string, number>;
  /** Defaults of its attributes. */
  readonly tensors: readonly StoredTensor[];
  readonly sparse: readonly SparseTensor[];
  readonly graphs: readonly OnnxGraph[];
}

/** What an ONNX file says, but for the numbers of its tensors. */
export interface OnnxModel {
  readonly irVersion: number;
  readonly producer: string;
  readonly opsets: ReadonlyMap<string, number>;
  readonly graph: OnnxGraph | null;
  readonly functions: readonly OnnxFunction[];
}

/** How a node names the function that it calls. */
export function functionKey(domain: string, name: string, overload: string): string {
  return JSON.stringify([domain, name, overload]);
}

export function readOnnxModel(tree: ProtoTree): OnnxModel {
  const graph = tree.child(7);
  return {
    irVersion: tree.int(1),
    producer: tree.text(2),
    opsets: readOpsets(tree, 8),
    graph: graph ? readGraph(graph) : null,
    functions: tree.children(25).map(readFunction),
  };
}

function readOpsets(tree: ProtoTree, field: number): Map<string, number> {
  const opsets = tree.children(field).map((opset) => {
    const domain = opset.text(1);
    return [domain === 'ai.onnx' ? '' : domain, opset.int(2)] as const;
  });
  return new Map(opsets);
}

function readGraph(tree: ProtoTree): OnnxGraph {
  return {
    nodes: tree.children(1).map(readNode),
    tensors: tree.children(5).map(readTensor),
    sparse: tree.children(15).map(readSparse),
    inputs: tree.children(11).map(readDeclared),
    outputs: tree.children(12).map(readDeclared),
  };
}

function readNode(tree: ProtoTree): OnnxNode {
  const domain = tree.text(7);
  return {
    inputs: tree.texts(1),
    outputs: tree.texts(2),
    name: tree.text(3),
    op: tree.text(4),
    domain: domain === 'ai.onnx' ? '' : domain,
    overload: tree.text(8),
    ...readAttributes(tree.children(5)),
  };
}

function readAttributes(
  attributes: readonly ProtoTree[],
): Pick<OnnxNode, 'tensors' | 'sparse' | 'graphs'> {
  const all = (fields: readonly number[]): ProtoTree[] =>
    attributes.flatMap((attribute) => fields.flatMap((field) => attribute.children(field)));
  return {
    tensors: all([5, 10]).map(readTensor),
    sparse: all([22, 23]).map(readSparse),
    graphs: all([6, 11]).map(readGraph),
  };
}

function readFunction(tree: ProtoTree): OnnxFunction {
  const domain = tree.text(10);
  return {
    key: functionKey(domain === 'ai.onnx' ? '' : domain, tree.text(1), tree.text(13)),
    inputs: tree.texts(4),
    outputs: tree.texts(5),
    nodes: tree.children(7).map(readNode),
    opsets: readOpsets(tree, 9),
    ...readAttributes(tree.children(11)),
  };
}

function readTensor(tree: ProtoTree): StoredTensor {
  const counted = [4, 5, 6, 7, 10, 11].filter((field) => tree.has(field));
  return {
    name: tree.text(8),
    type: tree.int(2),
    dims: tree.ints(1),
    rawBytes: tree.has(9) ? tree.int(9) : null,
    counts: new Map(counted.map((field) => [field, tree.int(field)])),
    isExternal: tree.has(13) || tree.int(14) !== 0,
  };
}

function readSparse(tree: ProtoTree): SparseTensor {
  const [values, indices] = [tree.child(1), tree.child(2)];
  return {
    values: values ? readTensor(values) : null,
    indices: indices ? readTensor(indices) : null,
    dims: tree.ints(3),
  };
}

function readDeclared(tree: ProtoTree): Declared {
  const type = tree.child(2);
  const tensor = type?.child(1);
  const isOther = type !== undefined && [4, 5, 7, 8, 9].some((field) => type.has(field));
  const shape = tensor?.child(2);
  return {
    name: tree.text(1),
    type: isOther ? null : (tensor?.int(1) ?? 0),
    dims: shape
      ? shape.children(1).map((dimension) => (dimension.has(1) ? dimension.int(1) : -1))
      : null,
  };
}
