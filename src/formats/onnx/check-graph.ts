import { type FaultLog, quoted, quotedList } from '../fault-log';
import { findCycle } from '../find-cycle';
import { TensorCheck } from './check-tensors';
import {
  functionKey,
  type OnnxFunction,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
} from './onnx-model';

/** Domains whose operators the runtime has; what it lacks of them the test load finds out. */
const KNOWN_DOMAINS = new Set(['', 'ai.onnx.ml', 'com.microsoft']);

/** Operators that run a graph of theirs as often as they please. */
const LOOPS = new Set(['Loop', 'Scan']);

/** Refers to files beside the model. */
const REFUSED_OPS = new Set(['com.microsoft:EPContext']);

/** Nodes once every call of a function has its own copy of it. */
const MAX_EXPANDED_NODES = 500_000;

/** What calls a graph or function of its own can see, from the inside out. */
interface Scope {
  readonly names: ReadonlySet<string>;
  readonly outer: Scope | null;
}

/** Checks nodes and names of a model: everything that it computes is known, and it comes to an end. */
export class GraphCheck {
  private readonly functions: ReadonlyMap<string, OnnxFunction>;
  private readonly tensors: TensorCheck;

  constructor(
    private readonly model: OnnxModel,
    private readonly path: string,
    private readonly faults: FaultLog,
  ) {
    this.functions = new Map(model.functions.map((one) => [one.key, one]));
    this.tensors = new TensorCheck(path, faults);
  }

  run(): void {
    const { graph, functions } = this.model;
    if (this.functions.size < functions.length) this.fault('two of its functions have one name');
    for (const body of functions) this.checkFunction(body);
    this.checkCalls();
    if (graph) this.checkGraph(graph, null, 'the graph');
  }

  private checkFunction(body: OnnxFunction): void {
    const where = `the function ${nameOf(body)}`;
    for (const tensor of body.tensors) this.tensors.dense(tensor, `of ${where}`);
    for (const tensor of body.sparse) this.tensors.sparse(tensor, `of ${where}`);
    if (body.graphs.length > 0) this.fault(`${where} has a graph as the default of an attribute`);
    this.checkNodes(body.nodes, body.inputs, body.outputs, null, where);
  }

  /** @returns the names that the graph takes from around it */
  private checkGraph(graph: OnnxGraph, outer: Scope | null, where: string): ReadonlySet<string> {
    const stored = [
      ...graph.tensors.map(({ name }) => name),
      ...graph.sparse.map(({ values }) => values?.name ?? ''),
    ];
    for (const name of repeated(stored)) this.fault(`two tensors of ${where} are called ${name}`);
    for (const tensor of graph.tensors) this.tensors.dense(tensor, `of ${where}`);
    for (const tensor of graph.sparse) this.tensors.sparse(tensor, `of ${where}`);
    const inputs = graph.inputs.map(({ name }) => name);
    for (const name of repeated(inputs)) this.fault(`two inputs of ${where} are called ${name}`);
    const outputs = graph.outputs.map(({ name }) => name);
    for (const name of repeated(outputs)) this.fault(`two outputs of ${where} are called ${name}`);
    return this.checkNodes(graph.nodes, [...inputs, ...stored], outputs, outer, where);
  }

  private checkNodes(
    nodes: readonly OnnxNode[],
    given: readonly string[],
    wanted: readonly string[],
    outer: Scope | null,
    where: string,
  ): ReadonlySet<string> {
    const titles = nodes.map((node, index) => titleOf(node, index, where));
    const names = new Set(given);
    const makers = new Map<string, number>();
    for (const [index, { outputs }] of nodes.entries()) {
      for (const output of outputs.filter((name) => name !== '')) {
        if (names.has(output)) {
          this.fault(`${titles[index] ?? ''} gives ${quoted(output)}, which stands there already`);
        }
        names.add(output);
        makers.set(output, index);
      }
    }
    const scope: Scope = { names, outer };
    const free = new Set<string>();
    const needs = new Map<string, string[]>();
    for (const [index, node] of nodes.entries()) {
      const title = titles[index] ?? '';
      this.checkOp(node, title);
      const taken = node.inputs.filter((name) => name !== '');
      for (const name of taken.filter((input) => !isVisible(scope, input))) {
        this.fault(`${title} takes ${quoted(name)}, which nothing gives`);
      }
      for (const inner of this.checkParts(node, scope, title)) taken.push(inner);
      for (const name of taken) if (!names.has(name)) free.add(name);
      const sources = taken.flatMap((name) => makers.get(name) ?? []);
      needs.set(String(index), sources.map(String));
    }
    for (const name of wanted.filter((output) => !names.has(output))) {
      if (isVisible(scope, name)) free.add(name);
      else this.fault(`${where} has the output ${quoted(name)}, which nothing gives`);
    }
    const cycle = findCycle(needs)?.map((index) => titles[Number(index)] ?? '');
    if (cycle) this.fault(`nodes wait for each other: ${cycle.slice(0, 10).join(', ')}`);
    return free;
  }

  /** @returns the names that the graphs of a node take from around them */
  private checkParts(node: OnnxNode, scope: Scope, title: string): string[] {
    for (const tensor of node.tensors) this.tensors.dense(tensor, `of ${title}`);
    for (const tensor of node.sparse) this.tensors.sparse(tensor, `of ${title}`);
    return node.graphs.flatMap((graph) => [
      ...this.checkGraph(graph, scope, `a branch of ${title}`),
    ]);
  }

  private checkOp(node: OnnxNode, title: string): void {
    const { op, domain, graphs } = node;
    if (LOOPS.has(op) && domain === '') {
      this.fault(
        `${title} is a loop, which nothing bounds; unroll it before the export, or export the part without it`,
      );
    } else if (graphs.length > 0 && !(op === 'If' && domain === '')) {
      this.fault(`${title} runs a graph of its own, which only If may`);
    } else if (!KNOWN_DOMAINS.has(domain) && !this.functionOf(node)) {
      this.fault(
        `${title} is an operator of the domain ${quoted(domain)}; custom operators are not loaded here: export the model with those of ONNX alone`,
      );
    } else if (REFUSED_OPS.has(`${domain}:${op}`)) {
      this.fault(`${title} refers to files of its own, which are never read here`);
    }
  }

  /** How large the model is once its calls are resolved; functions that call themselves have no end. */
  private checkCalls(): void {
    const callees = new Map(
      this.model.functions.map(({ key, nodes }) => [key, this.calledBy(nodes)]),
    );
    const cycle = findCycle(callees);
    if (cycle) {
      this.fault(`functions call each other: ${quotedList(cycle)}`);
      return;
    }
    const sizes = new Map<string, number>();
    const sizeOf = (nodes: readonly OnnxNode[], calls: readonly string[]): number =>
      nodes.length + calls.reduce((sum, key) => sum + (sizes.get(key) ?? 0), 0);
    // Those that a function calls come before it; a chain of them may be longer than the stack.
    const pending = [...this.functions.keys()];
    for (let key = pending.at(-1); key !== undefined; key = pending.at(-1)) {
      const calls = callees.get(key) ?? [];
      const before = sizes.has(key) ? [] : calls.filter((name) => !sizes.has(name));
      if (before.length > 0) pending.push(...new Set(before));
      else {
        sizes.set(key, sizeOf(this.functions.get(key)?.nodes ?? [], calls));
        pending.pop();
      }
    }
    const { nodes = [] } = this.model.graph ?? {};
    if (sizeOf(nodes, this.calledBy(nodes)) > MAX_EXPANDED_NODES) {
      this.fault(`its functions make more than ${MAX_EXPANDED_NODES} nodes of it`);
    }
  }

  /** The functions that nodes call, once for each call, in graphs of theirs too. */
  private calledBy(nodes: readonly OnnxNode[]): string[] {
    return nodes.flatMap((node) => [
      ...(this.functionOf(node) ? [keyOf(node)] : []),
      ...node.graphs.flatMap((graph) => this.calledBy(graph.nodes)),
    ]);
  }

  private functionOf(node: OnnxNode): OnnxFunction | undefined {
    return this.functions.get(keyOf(node));
  }

  private fault(message: string): void {
    this.faults.add(this.path, message);
  }
}

function keyOf({ domain, op, overload }: OnnxNode): string {
  return functionKey(domain, op, overload);
}

function isVisible(scope: Scope | null, name: string): boolean {
  for (let at = scope; at; at = at.outer) if (at.names.has(name)) return true;
  return false;
}

/** The node by its name, or by what it gives where it has none. */
function titleOf({ name, op, outputs }: OnnxNode, index: number, where: string): string {
  const known = name === '' ? outputs.find((output) => output !== '') : name;
  const title = known === undefined ? `number ${index}` : quoted(known);
  return `the node ${title} (${op.slice(0, 80)})${where === 'the graph' ? '' : ` of ${where}`}`;
}

function nameOf({ key }: OnnxFunction): string {
  const [, name = ''] = JSON.parse(key) as string[];
  return quoted(name);
}

/** The names, quoted, that stand there more than once. */
function repeated(names: readonly string[]): string[] {
  const seen = new Set<string>();
  const found = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) found.add(quoted(name));
    seen.add(name);
  }
  return [...found];
}
