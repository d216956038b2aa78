/**
 * A cycle in a dependency graph, in order, or null when there is none. Takes time linear in nodes
 * and edges and does not recurse; dependencies that are no keys are passed over.
 */
export function findCycle(
  dependencies: ReadonlyMap<string, readonly string[]>,
): readonly string[] | null {
  const waiting = new Map<string, number>();
  const dependants = new Map<string, string[]>();
  for (const [node, needed] of dependencies) {
    const known = needed.filter((name) => dependencies.has(name));
    waiting.set(node, known.length);
    for (const name of known) {
      const list = dependants.get(name);
      if (list) list.push(node);
      else dependants.set(name, [node]);
    }
  }
  const free = [...waiting].filter(([, count]) => count === 0).map(([node]) => node);
  for (let node = free.pop(); node !== undefined; node = free.pop()) {
    waiting.delete(node);
    for (const dependant of dependants.get(node) ?? []) {
      const left = (waiting.get(dependant) ?? 0) - 1;
      waiting.set(dependant, left);
      if (left === 0) free.push(dependant);
    }
  }
  return walkCycle(dependencies, waiting);
}

/** Every node that is left waits for another one that is left, so following them must come back. */
function walkCycle(
  dependencies: ReadonlyMap<string, readonly string[]>,
  left: ReadonlyMap<string, number>,
): readonly string[] | null {
  const visited = new Map<string, number>();
  const path: string[] = [];
  let [node] = left.keys();
  while (node !== undefined) {
    const start = visited.get(node);
    if (start !== undefined) return path.slice(start);
    visited.set(node, path.length);
    path.push(node);
    node = dependencies.get(node)?.find((name) => left.has(name));
  }
  return null;
}
