import { type FaultLog, quoted } from '../fault-log';
import { PURE_OPS } from './pure-ops';
import { type SavedFunction, type SavedGraph, type SavedNode } from './read-saved-model';

/** Nodes looked at in all; functions are looked at once for each kind of call. */
const MAX_VISITS = 2_000_000;
const MAX_CALL_DEPTH = 200;

/** What a tensor is known to be: the path of the variables or of an asset, which the loader fills in. */
type Origin = 'variables' | 'asset' | null;
/** When a part of the graph runs. */
type Phase = 'restore' | 'init' | 'predict';

/** Ops that read files, and the phase and path with which a loader lets them. */
const LOADING_OPS: Readonly<Record<string, { readonly phase: Phase; readonly from: Origin }>> = {
  RestoreV2: { phase: 'restore', from: 'variables' },
  InitializeTableFromTextFile: { phase: 'init', from: 'asset' },
  InitializeTableFromTextFileV2: { phase: 'init', from: 'asset' },
};
/** Which of their inputs is the path. */
const PATH_INPUT: Readonly<Record<string, number>> = {
  InitializeTableFromTextFile: 1,
  InitializeTableFromTextFileV2: 1,
};
const DIRECT_CALLS = new Set(['PartitionedCall', 'StatefulPartitionedCall']);

/** Fetched by a loader or by predictions, with when that is. */
export interface Fetch {
  readonly tensors: readonly string[];
  readonly phase: Phase;
}

/**
 * Refuses a graph that could reach beyond its own tensors, by looking at every op that loading it
 * or predicting with it can run, in its functions as well.
 *
 * What only saves checkpoints is not run here, so it may stay. Reading is let through in two cases
 * that every loader needs: variables by the path that the loader feeds, and the tables of assets by
 * theirs; a path that the graph makes up itself is neither.
 */
export class OpCheck {
  private readonly nodes: ReadonlyMap<string, SavedNode>;
  private readonly origins = new Map<string, Origin>();
  /** Functions that TensorFlow may run in place of each other. */
  private readonly implementations = new Map<string, SavedFunction[]>();
  private readonly seenCalls = new Set<string>();
  /** Functions that are being followed, each called by the one before. */
  private readonly active = new Set<string>();
  private visits = 0;

  constructor(
    private readonly graph: SavedGraph,
    private readonly path: string,
    private readonly faults: FaultLog,
  ) {
    this.nodes = new Map(graph.nodes.map((node) => [node.name, node]));
    for (const { tensor } of graph.assets) this.origins.set(tensorName(tensor), 'asset');
    this.origins.set(tensorName(graph.filenameTensor), 'variables');
    for (const found of graph.functions.values()) {
      if (found.implements === '') continue;
      const same = this.implementations.get(found.implements);
      if (same) same.push(found);
      else this.implementations.set(found.implements, [found]);
    }
  }

  run(fetches: readonly Fetch[]): void {
    for (const name of this.graph.functions.keys()) {
      // A function that is called what an op is called: nobody could say which of them runs.
      if (!/[^_]_/.test(name)) {
        this.faults.add(this.path, `the function ${quoted(name)} is named as ops are`);
      }
    }
    this.checkNames(this.graph.nodes, [], '');
    for (const { tensors, phase } of fetches) this.checkReachable(tensors, phase);
    if (this.visits > MAX_VISITS) {
      this.faults.add(this.path, `running it would visit more than ${MAX_VISITS} nodes`);
    }
  }

  /** What has two meanings could be checked by one and run by the other. */
  private checkNames(nodes: readonly SavedNode[], args: readonly string[], inside: string): void {
    const seen = new Set(args);
    let isDouble = seen.size < args.length;
    for (const { name } of nodes) {
      isDouble ||= seen.has(name);
      seen.add(name);
    }
    if (!isDouble) return;
    const where = inside === '' ? 'the graph' : `the function ${quoted(inside)}`;
    this.faults.add(this.path, `${where} uses one name for several nodes or arguments`);
  }

  private checkReachable(tensors: readonly string[], phase: Phase): void {
    const open = tensors.map(nodeName);
    const seen = new Set(open);
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      const node = this.nodes.get(name);
      if (!node) {
        if (name !== '') this.faults.add(this.path, `the graph has no node ${quoted(name)}`);
        continue;
      }
      this.checkNode(node, phase, '', 0, (input) => this.originOf(input));
      for (const input of node.inputs.map(nodeName)) {
        if (seen.has(input)) continue;
        seen.add(input);
        open.push(input);
      }
    }
  }

  private checkNode(
    node: SavedNode,
    phase: Phase,
    inside: string,
    depth: number,
    originOf: (input: string) => Origin,
  ): void {
    if (++this.visits > MAX_VISITS) return;
    const { op, inputs } = node;
    if (node.hasPlaceholder) {
      this.faults.add(
        `${this.path}: ${node.name}`,
        'an attribute is left to whoever calls the function around it, so nobody can say what runs',
      );
    }
    const data = inputs.filter((input) => !input.startsWith('^'));
    const called = this.graph.functions.get(op);
    const loading = Object.hasOwn(LOADING_OPS, op) ? LOADING_OPS[op] : undefined;
    if (loading) {
      const from = originOf(data[PATH_INPUT[op] ?? 0] ?? '');
      if (loading.phase !== phase || loading.from !== from) this.refuse(node, inside);
    } else if (!called && !PURE_OPS.has(op)) {
      this.refuse(node, inside);
    }
    const isDirect = called !== undefined || DIRECT_CALLS.has(op);
    const origins = data.map((input) => (isDirect ? originOf(input) : null));
    for (const name of called ? [op, ...node.functions] : node.functions) {
      const target = this.graph.functions.get(name);
      for (const one of target ? this.allOf(target) : []) {
        // Each of many may stand for all of many.
        if (++this.visits > MAX_VISITS) return;
        this.checkFunction(one, phase, isDirect ? origins : [], depth + 1);
      }
      if (!target) this.faults.add(this.path, `the graph has no function ${quoted(name)}`);
    }
  }

  /** A function with those that may run in its place. */
  private allOf(found: SavedFunction): readonly SavedFunction[] {
    return this.implementations.get(found.implements) ?? [found];
  }

  private checkFunction(
    { name, args, hasLists, nodes }: SavedFunction,
    phase: Phase,
    origins: readonly Origin[],
    depth: number,
  ): void {
    if (this.active.has(name)) {
      this.faults.add(this.path, `the function ${quoted(name)} calls itself`);
      return;
    }
    const key = `${name}\n${phase}\n${origins.map((origin) => origin ?? '').join()}`;
    if (this.seenCalls.has(key)) return;
    this.seenCalls.add(key);
    if (depth > MAX_CALL_DEPTH) {
      this.faults.add(this.path, `functions call each other deeper than ${MAX_CALL_DEPTH} levels`);
      return;
    }
    this.checkNames(nodes, args, name);
    // Where an argument stands for several tensors, places say nothing about arguments.
    const isAligned = !hasLists && origins.length === args.length;
    const known = new Map(
      args.map((arg, index) => [arg, isAligned ? (origins[index] ?? null) : null]),
    );
    const inner = new Map(nodes.map((node) => [node.name, node]));
    const originOf = (input: string): Origin => {
      let at = input;
      for (let steps = 0; steps < MAX_CALL_DEPTH; steps++) {
        if (known.has(at)) return known.get(at) ?? null;
        const node = inner.get(nodeName(at));
        if (node?.op !== 'Identity') return null;
        at = node.inputs[0] ?? '';
      }
      return null;
    };
    this.active.add(name);
    for (const node of nodes) this.checkNode(node, phase, name, depth, originOf);
    this.active.delete(name);
  }

  private originOf(input: string): Origin {
    let at = tensorName(input);
    for (let steps = 0; steps < MAX_CALL_DEPTH; steps++) {
      const origin = this.origins.get(at);
      if (origin) return origin;
      const node = this.nodes.get(nodeName(at));
      if (node?.op !== 'Identity') return null;
      at = tensorName(node.inputs[0] ?? '');
    }
    return null;
  }

  private refuse({ name, op }: SavedNode, inside: string): void {
    const where = inside === '' ? '' : ` in the function ${quoted(inside)}`;
    this.faults.add(
      `${this.path}: ${name}`,
      `the op ${quoted(op)}${where} is not one that a served model may run: it could reach files, the network or code, or is unknown here`,
    );
  }
}

/** With its place among the outputs of its node, of which the first is often left out. */
function tensorName(input: string): string {
  return input.includes(':') ? input : `${input}:0`;
}

/** `^a` waits for a, `a:1` is its second output. */
export function nodeName(input: string): string {
  return input.replace(/^\^/, '').split(':', 1)[0] ?? '';
}
