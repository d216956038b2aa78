import { nameFault } from './artifact-names';
import { type FaultLog, quoted, quotedList } from './fault-log';
import { findCycle } from './find-cycle';
import {
  checkConnections,
  checkConstants,
  type GraphNodes,
  type NodeAllowance,
  nodeName,
  readNodes,
} from './graph-nodes';
import { asArray, asObject, isObject } from './json-value';

/** The function library of a graph: bodies and conditions of its loops and branches. */
export class GraphFunctions {
  private readonly bodies = new Map<string, GraphNodes>();

  constructor(
    list: unknown,
    private readonly path: string,
    private readonly allowance: NodeAllowance,
    private readonly weightNames: ReadonlySet<string> | null,
    private readonly faults: FaultLog,
  ) {
    if (list === undefined || list === null) return;
    if (!Array.isArray(list)) faults.add(path, 'a list of functions was expected');
    asArray(list).forEach((value, index) => {
      this.read(value, `${path}[${index}]`);
    });
  }

  /** Checks that every function that nodes refer to exists, and that none comes back to itself. */
  checkCalls(graph: GraphNodes): void {
    for (const nodes of [graph, ...this.bodies.values()]) {
      for (const { path, attr } of nodes.values()) {
        for (const callee of callees(attr)) {
          if (this.bodies.has(callee)) continue;
          this.faults.add(`${path}.attr`, `there is no function ${quoted(callee)}`);
        }
      }
    }
    const calls = new Map(
      [...this.bodies].map(([name, nodes]) => [
        name,
        [...nodes.values()].flatMap(({ attr }) => callees(attr)),
      ]),
    );
    const cycle = findCycle(calls);
    if (cycle) {
      this.faults.add(this.path, `functions call each other: ${quotedList(cycle)}`);
    }
  }

  private read(value: unknown, path: string): void {
    const signature = asObject(value)['signature'];
    if (!isObject(value) || !isObject(signature)) {
      this.faults.add(path, 'a function with a signature was expected');
      return;
    }
    const { name } = signature as { name?: unknown };
    const badName = nameFault(name);
    if (badName !== undefined) {
      this.faults.add(`${path}.signature.name`, badName);
      return;
    }
    const args = this.argumentNames(signature['inputArg'], `${path}.signature.inputArg`);
    const results = this.argumentNames(signature['outputArg'], `${path}.signature.outputArg`);
    const nodes = readNodes(value['nodeDef'] ?? [], `${path}.nodeDef`, this.allowance, this.faults);
    const parameters = new Set(args.map(nodeName));
    checkConnections(nodes, parameters, path, this.faults);
    if (this.weightNames) checkConstants(nodes, this.weightNames, this.faults);
    const returned = asObject(value['ret']);
    for (const result of results) {
      const from = Object.hasOwn(returned, result) ? returned[result] : undefined;
      const source = typeof from === 'string' ? nodeName(from) : '';
      if (nodes.has(source) || parameters.has(source)) continue;
      this.faults.add(`${path}.ret`, `the output ${quoted(result)} comes from no node`);
    }
    if (this.bodies.has(String(name))) {
      this.faults.add(path, `two functions are called ${quoted(String(name))}`);
    }
    this.bodies.set(String(name), nodes);
  }

  private argumentNames(list: unknown, path: string): readonly string[] {
    if (!Array.isArray(list)) {
      this.faults.add(path, 'a list of arguments was expected');
      return [];
    }
    return list.flatMap((argument: unknown, index) => {
      const { name } = asObject(argument) as { name?: unknown };
      const fault = nameFault(name);
      if (fault === undefined) return [String(name)];
      this.faults.add(`${path}[${index}].name`, fault);
      return [];
    });
  }
}

function callees(attr: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.values(attr).flatMap((value) => {
    const { name } = asObject(asObject(value)['func']) as { name?: unknown };
    return typeof name === 'string' ? [name] : [];
  });
}
