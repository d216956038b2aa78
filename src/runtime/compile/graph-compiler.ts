import { type TensorSpec } from '../../common/tensor';
import { NotCompiledError } from '../runtime.errors';
import { type Constant, constantOf } from './constant';
import { ARITHMETIC_OPS } from './graph-arithmetic';
import { type GraphBuilder } from './graph-builder';
import { CONVOLUTION_OPS } from './graph-convolution';
import { GraphNode, type NodeCompiler, type NodeJson } from './graph-node';
import { SHAPE_OPS } from './graph-shapes';
import { listed, type Value, withoutOrigin } from './value';

const OPS: Readonly<Record<string, NodeCompiler>> = {
  ...ARITHMETIC_OPS,
  ...CONVOLUTION_OPS,
  ...SHAPE_OPS,
};

/** Where a tensor of the signature is in the graph: a node, at times with the index of its output. */
export interface GraphEndpoint {
  readonly name: string;
  readonly node: string;
  /** What the signature says of it, for graphs that do not say it themselves. */
  readonly spec?: TensorSpec;
}

export interface CompiledGraph {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/**
 * Compiles a TensorFlow graph, as far as its outputs need it.
 *
 * A node knows who else uses its inputs, so that constants are folded only into what is theirs.
 */
export function compileGraph(
  b: GraphBuilder,
  topology: unknown,
  weights: ReadonlyMap<string, Constant>,
  from: readonly GraphEndpoint[],
  to: readonly GraphEndpoint[],
): CompiledGraph {
  const nodes = parseNodes(topology);
  const made = new Map<string, readonly Value[]>();
  const inputs = from.map((endpoint) => {
    const value = graphInput(b, nodes, endpoint);
    made.set(split(endpoint.node)[0], [value]);
    return value;
  });
  const ordered = inOrder(nodes, to, new Set(made.keys()));
  const uses = countUses(ordered, to);
  for (const node of ordered) made.set(node.name, compileNode(b, node, weights, made, uses));
  return { inputs, outputs: to.map(({ node }) => outputOf(made, node)) };
}

/** The names of the inputs and outputs of a graph whose signature does not tell. */
export function ownEndpoints(topology: unknown): {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
} {
  const nodes = [...parseNodes(topology).values()];
  const used = new Set(nodes.flatMap(({ inputs }) => inputs.map((input) => split(input)[0])));
  return {
    inputs: nodes.filter(({ op }) => op.startsWith('Placeholder')).map(({ name }) => name),
    outputs: nodes
      .filter(({ name, op }) => !used.has(name) && op !== 'NoOp' && op !== 'Const')
      .map(({ name }) => name),
  };
}

function compileNode(
  b: GraphBuilder,
  node: GraphNode,
  weights: ReadonlyMap<string, Constant>,
  made: ReadonlyMap<string, readonly Value[]>,
  uses: ReadonlyMap<string, number>,
): readonly Value[] {
  if (node.op === 'Const') {
    const weight = weights.get(node.name);
    if (!weight) throw new NotCompiledError(`The weight ${node.name} is missing`);
    return [b.constant(weight)];
  }
  const compile = Object.hasOwn(OPS, node.op) ? OPS[node.op] : undefined;
  if (!compile) throw new NotCompiledError(`Op ${node.op} is not compiled`, { op: node.op });
  const inputs = node.inputs.map((input) => outputOf(made, input));
  const isOnlyUse = (index: number): boolean => uses.get(split(node.inputs[index] ?? '')[0]) === 1;
  const outputs = listed(compile({ b, node, inputs, isOnlyUse }));
  return outputs.map((value) => settled(b, inputs.includes(value) ? withoutOrigin(value) : value));
}

function graphInput(
  b: GraphBuilder,
  nodes: ReadonlyMap<string, GraphNode>,
  { name, node: at, spec }: GraphEndpoint,
): Value {
  const node = nodes.get(split(at)[0]);
  if (!node?.op.startsWith('Placeholder')) {
    throw new NotCompiledError(`Input ${name} is no placeholder of the graph`);
  }
  const shape = node.shape('shape') ?? spec?.shape;
  if (!shape) throw new NotCompiledError(`Input ${name} of any rank is not compiled`);
  return b.input(node.type('dtype'), shape);
}

function parseNodes(topology: unknown): ReadonlyMap<string, GraphNode> {
  const { node } = topology as { readonly node?: readonly NodeJson[] };
  if (!Array.isArray(node)) throw new NotCompiledError('The topology is no graph');
  return new Map((node as NodeJson[]).map((json) => [json.name, new GraphNode(json)]));
}

/** The nodes that the outputs need, each behind its inputs; deep graphs would overflow a recursion. */
function inOrder(
  nodes: ReadonlyMap<string, GraphNode>,
  to: readonly GraphEndpoint[],
  given: ReadonlySet<string>,
): GraphNode[] {
  const ordered: GraphNode[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const stack = to.map(({ node }) => split(node)[0]).reverse();
  for (let name = stack.at(-1); name !== undefined; name = stack.at(-1)) {
    const node = nodes.get(name);
    if (given.has(name) || state.get(name) === 'done') {
      stack.pop();
      continue;
    }
    if (!node) throw new NotCompiledError(`The graph has no node ${name}`);
    const sources = node.inputs.map((input) => split(input)[0]);
    const missing = sources.filter((source) => !given.has(source) && state.get(source) !== 'done');
    if (missing.length === 0) {
      ordered.push(node);
      state.set(name, 'done');
      stack.pop();
      continue;
    }
    if (missing.some((source) => state.get(source) === 'open')) {
      throw new NotCompiledError('Loops are not compiled', { node: name });
    }
    state.set(name, 'open');
    stack.push(...missing);
  }
  return ordered;
}

function countUses(
  ordered: readonly GraphNode[],
  to: readonly GraphEndpoint[],
): ReadonlyMap<string, number> {
  const uses = new Map<string, number>();
  const names = [...ordered.flatMap(({ inputs }) => inputs), ...to.map(({ node }) => node)];
  for (const name of names.map((input) => split(input)[0])) {
    uses.set(name, (uses.get(name) ?? 0) + 1);
  }
  return uses;
}

function outputOf(made: ReadonlyMap<string, readonly Value[]>, input: string): Value {
  const [name, index] = split(input);
  const value = made.get(name)?.[index];
  if (value) return value;
  throw new NotCompiledError(`Nothing computes ${input}`);
}

/** The name of a node and the index of its output. */
function split(input: string): readonly [string, number] {
  const at = input.lastIndexOf(':');
  const index = at < 0 ? '' : input.slice(at + 1);
  return /^\d+$/.test(index) ? [input.slice(0, at), Number(index)] : [input, 0];
}

/** A list of sizes that turned out to be known needs no computing. */
function settled(b: GraphBuilder, value: Value): Value {
  const { known, shape, dtype } = value;
  if (!known || value.constant || dtype !== 'int32' || known.includes(null)) return value;
  const sizes = known.map((size) => size ?? 0);
  return b.constant(constantOf('int32', shape, sizes));
}
