import { asArray, asObject, isObject, type JsonObject } from '../../formats/json-value';

/**
 * Activations that a converter writes into the product before them and that no engine of
 * TensorFlow.js computes there, while each computes them as an op of their own.
 */
const NEVER_FUSED: ReadonlySet<string> = new Set(['Tanh']);
const FUSED_OPS: ReadonlySet<string> = new Set([
  '_FusedMatMul',
  '_FusedConv2D',
  'FusedDepthwiseConv2dNative',
]);

/**
 * The same graph with such activations as nodes of their own. They keep the name of the fused node,
 * so whatever reads it reads them. Nothing else is touched, and the graph itself stays as it is.
 */
export function splitActivations(topology: object): object {
  const nodes = asArray((topology as JsonObject)['node']);
  if (!nodes.some((node) => fusedActivation(node) !== null)) return topology;
  const taken = new Set(nodes.map((node) => asObject(node)['name']));
  return {
    ...topology,
    node: nodes.flatMap((node) => {
      const activation = fusedActivation(node);
      return activation === null ? [node] : split(asObject(node), activation, taken);
    }),
  };
}

/** Name of the activation that has to stand alone. */
function fusedActivation(node: unknown): string | null {
  if (!isObject(node) || !FUSED_OPS.has(String(node['op']))) return null;
  const last = fusedOps(node).at(-1);
  return last !== undefined && NEVER_FUSED.has(decoded(last)) ? decoded(last) : null;
}

function split(node: JsonObject, activation: string, taken: Set<unknown>): JsonObject[] {
  const { name, attr } = node as { name: string; attr: JsonObject };
  let product = `${name}/product`;
  while (taken.has(product)) product += '_';
  taken.add(product);
  const fused_ops = { list: { s: fusedOps(node).slice(0, -1) } };
  return [
    { ...node, name: product, attr: { ...attr, fused_ops } },
    { name, op: activation, input: [product], attr: { T: attr['T'] ?? { type: 'DT_FLOAT' } } },
  ];
}

/** Names of what is computed after the product, in base64. */
function fusedOps(node: JsonObject): readonly string[] {
  const list = asObject(asObject(asObject(node['attr'])['fused_ops'])['list']);
  return asArray(list['s']).filter((name) => typeof name === 'string');
}

const decoded = (name: string): string => Buffer.from(name, 'base64').toString('latin1');
