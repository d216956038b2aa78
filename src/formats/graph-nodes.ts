import { nameFault } from './artifact-names';
import { type FaultLog, quoted, quotedList } from './fault-log';
import { findCycle } from './find-cycle';
import { GRAPH_OPS } from './graph-ops';
import { asObject, isObject, type JsonObject } from './json-value';

/** One operation of a graph; `inputs` are names of nodes, without index and control mark. */
export interface GraphNode {
  readonly path: string;
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly attr: JsonObject;
}

export type GraphNodes = ReadonlyMap<string, GraphNode>;

/** How many nodes may still come, over a graph and all its functions. */
export interface NodeAllowance {
  left: number;
}

/**
 * Reads a list of nodes and checks each by itself. The order is the one of the file, which decides
 * the order of inputs and outputs where no signature does.
 */
export function readNodes(
  list: unknown,
  path: string,
  allowance: NodeAllowance,
  faults: FaultLog,
): GraphNodes {
  const nodes = new Map<string, GraphNode>();
  if (!Array.isArray(list)) {
    faults.add(path, 'a list of nodes was expected');
    return nodes;
  }
  const before = allowance.left;
  allowance.left -= list.length;
  if (allowance.left < 0) {
    faults.add(path, `there are more nodes than the ${before} that are left of the limit`);
    return nodes;
  }
  list.forEach((value: unknown, index) => {
    const node = readNode(value, `${path}[${index}]`, faults);
    if (!node) return;
    if (nodes.has(node.name)) {
      faults.add(`${node.path}.name`, `two nodes are called ${quoted(node.name)}`);
    }
    nodes.set(node.name, node);
  });
  return nodes;
}

function readNode(value: unknown, path: string, faults: FaultLog): GraphNode | null {
  if (!isObject(value)) {
    faults.add(path, 'a node with name and op was expected');
    return null;
  }
  const { name, op, input } = value as { name?: unknown; op?: unknown; input?: unknown };
  const badName = nameFault(name);
  if (badName !== undefined) faults.add(`${path}.name`, badName);
  if (typeof op !== 'string' || !GRAPH_OPS.has(op)) {
    const shown = typeof op === 'string' ? quoted(op) : 'nothing';
    const node = typeof name === 'string' ? quoted(name) : 'here';
    faults.add(
      `${path}.op`,
      `the op of the node ${node} is ${shown}, which TensorFlow.js does not have`,
    );
  }
  const inputs = input ?? [];
  const isList = Array.isArray(inputs) && inputs.every((item) => typeof item === 'string');
  if (!isList) faults.add(`${path}.input`, 'a list of node names was expected');
  if (badName !== undefined || typeof op !== 'string' || !isList) return null;
  return {
    path,
    name: name as string,
    op,
    inputs: inputs.map(nodeName),
    attr: asObject(value['attr']),
  };
}

/** `^name`, `name:1` and, inside functions, `name:output:0` all speak of the node `name`. */
export function nodeName(reference: string): string {
  const plain = reference.startsWith('^') ? reference.slice(1) : reference;
  return plain.split(':', 1)[0] ?? '';
}

/**
 * Checks how nodes are connected. `parameters` are names that a function's caller provides.
 *
 * TensorFlow.js checks nothing of this when it loads: a node that is missing or waits for itself
 * shows up as a crash, or as an output that never comes.
 */
export function checkConnections(
  nodes: GraphNodes,
  parameters: ReadonlySet<string>,
  path: string,
  faults: FaultLog,
): void {
  for (const node of nodes.values()) {
    node.inputs.forEach((input, index) => {
      if (nodes.has(input) || parameters.has(input)) return;
      faults.add(`${node.path}.input[${index}]`, `there is no node ${quoted(input)}`);
    });
  }
  const dependencies = new Map(
    [...nodes].map(([name, { inputs }]) => [
      name,
      // The edge that closes a loop on purpose.
      inputs.filter((input) => nodes.get(input)?.op !== 'NextIteration'),
    ]),
  );
  const cycle = findCycle(dependencies);
  if (cycle) faults.add(path, `nodes wait for each other: ${quotedList(cycle)}`);
}

/** Every constant of a graph is a weight, found by the name of its node. */
export function checkConstants(
  nodes: GraphNodes,
  weightNames: ReadonlySet<string>,
  faults: FaultLog,
): void {
  for (const { name, op, path } of nodes.values()) {
    if (op === 'Const' && !weightNames.has(name)) {
      faults.add(path, `the manifest has no weight for the constant ${quoted(name)}`);
    }
  }
}
