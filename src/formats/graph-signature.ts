import { type DType } from '../common/tensor';
import { type FaultLog, quoted } from './fault-log';
import { type GraphNode, type GraphNodes, nodeName } from './graph-nodes';
import { asArray, asObject, isObject, type JsonObject } from './json-value';
import { type PartialSignature, type PartialSpec } from './partial-signature';
import { mergeShapes, type Shape } from './tensor-shape';

/** Types of TensorFlow, by name and by number, as TensorFlow.js holds them. */
const TYPES: readonly (readonly [name: string, number: number, dtype: DType])[] = [
  ['DT_FLOAT', 1, 'float32'],
  ['DT_DOUBLE', 2, 'float32'],
  ['DT_INT32', 3, 'int32'],
  ['DT_UINT8', 4, 'int32'],
  ['DT_INT8', 6, 'int32'],
  ['DT_STRING', 7, 'string'],
  ['DT_INT64', 9, 'int32'],
  ['DT_BOOL', 10, 'bool'],
  ['DT_HALF', 19, 'float32'],
];
const DTYPES = new Map<unknown, DType>([
  ...TYPES.map(([name, , dtype]) => [name, dtype] as const),
  ...TYPES.map(([, number, dtype]) => [number, dtype] as const),
]);

/** An entry of a signature: a tensor of the graph, and what was said of it. */
interface Entry {
  readonly path: string;
  /** The tensor, with the index of the output where that is not 0. */
  readonly name: string;
  readonly declared: JsonObject;
}

/**
 * The inputs and outputs of a graph, under the names of their nodes.
 *
 * The signature says which tensors these are and in which order; without one, they are the
 * placeholders and the nodes that nothing uses. What a placeholder says of itself counts more than
 * what the signature says of it, because that is what TensorFlow.js enforces.
 */
export function graphSignature(
  model: JsonObject,
  nodes: GraphNodes,
  entry: string,
  warnings: string[],
  faults: FaultLog,
): PartialSignature {
  const metadata = asObject(model['userDefinedMetadata']);
  // Converters put it into either place, and the loader prefers this one.
  const isInMetadata = (metadata['signature'] ?? null) !== null;
  const signature = asObject(isInMetadata ? metadata['signature'] : model['signature']);
  const path = `${entry}: ${isInMetadata ? 'userDefinedMetadata.' : ''}signature`;

  const inputs = declaredInputs(signature['inputs'], `${path}.inputs`, nodes, warnings, faults);
  const outputs = declaredOutputs(signature['outputs'], `${path}.outputs`, nodes, faults);
  return {
    inputs: inputs.length > 0 ? inputs : placeholders(nodes),
    outputs: outputs.length > 0 ? outputs : unusedNodes(nodes),
  };
}

function declaredInputs(
  list: unknown,
  path: string,
  nodes: GraphNodes,
  warnings: string[],
  faults: FaultLog,
): readonly PartialSpec[] {
  return entriesOf(list, path, faults).flatMap((item) => {
    const node = nodes.get(nodeName(item.name));
    if (node) return [inputSpec(node, item)];
    // The converter drops inputs that nothing uses and leaves them in the signature.
    warnings.push(`The graph does not use the input ${quoted(item.name)} of its signature`);
    return [];
  });
}

function declaredOutputs(
  list: unknown,
  path: string,
  nodes: GraphNodes,
  faults: FaultLog,
): readonly PartialSpec[] {
  return entriesOf(list, path, faults).map((item) => {
    if (!nodes.has(nodeName(item.name))) {
      faults.add(item.path, `the output ${quoted(item.name)} is no node of the graph`);
    }
    const { dtype, tensorShape } = item.declared as { dtype?: unknown; tensorShape?: unknown };
    return {
      name: item.name,
      path: item.path,
      dtype: DTYPES.get(dtype),
      shape: readShape(tensorShape),
    };
  });
}

/** One entry per tensor, in order; keys of a signature are labels of their author's choice. */
function entriesOf(list: unknown, path: string, faults: FaultLog): readonly Entry[] {
  const entries = new Map<string, Entry>();
  for (const [key, value] of Object.entries(asObject(list))) {
    const at = `${path}[${quoted(key)}]`;
    const { name } = asObject(value) as { name?: unknown };
    if (!isObject(value) || typeof name !== 'string' || nodeName(name) === '') {
      faults.add(at, 'an object with the name of a tensor was expected');
      continue;
    }
    const plain = name.replace(/:0$/, '');
    if (!entries.has(plain)) entries.set(plain, { path: at, name: plain, declared: value });
  }
  return [...entries.values()];
}

function inputSpec(node: GraphNode, item?: Entry): PartialSpec {
  const { dtype, shape } = node.attr as { dtype?: unknown; shape?: unknown };
  const declared = item?.declared ?? {};
  return {
    name: item?.name ?? node.name,
    path: item?.path ?? node.path,
    dtype: DTYPES.get(asObject(dtype)['type']) ?? DTYPES.get(declared['dtype']),
    shape: mergeShapes(readShape(asObject(shape)['shape']), readShape(declared['tensorShape'])),
  };
}

function placeholders(nodes: GraphNodes): readonly PartialSpec[] {
  return [...nodes.values()]
    .filter(({ op }) => op.startsWith('Placeholder'))
    .map((node) => inputSpec(node));
}

function unusedNodes(nodes: GraphNodes): readonly PartialSpec[] {
  const used = new Set([...nodes.values()].flatMap(({ inputs }) => inputs));
  return [...nodes.values()]
    .filter(({ name }) => !used.has(name))
    .map(({ name, path }) => ({ name, path, dtype: undefined, shape: undefined }));
}

/** `{ dim: [{ size: "-1" }, …] }`; without `dim` a scalar, and undefined when nothing is known. */
function readShape(value: unknown): Shape | undefined {
  if (!isObject(value) || value['unknownRank'] === true) return undefined;
  return asArray(value['dim']).map((dimension) => {
    const { size: written } = asObject(dimension) as { size?: unknown };
    // Converters write 64-bit numbers as text.
    const size = typeof written === 'string' ? Number(written || -1) : written;
    return isIndex(size) ? size : -1;
  });
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
