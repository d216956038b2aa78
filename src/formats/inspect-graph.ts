import { type FaultLog } from './fault-log';
import { GraphFunctions } from './graph-functions';
import { checkConnections, checkConstants, type GraphNodes, readNodes } from './graph-nodes';
import { graphSignature } from './graph-signature';
import { asObject, isObject, type JsonObject } from './json-value';
import { type PartialSignature } from './partial-signature';
import { type WeightEntry } from './weights-manifest';

/** Nodes of a graph and its functions; the largest converted models have a few thousand. */
const MAX_NODES = 100_000;

/**
 * Checks a converted TensorFlow graph as far as that goes without running it. `weights` is null
 * when they are not known well enough to be compared with the constants.
 */
export function inspectGraph(
  model: JsonObject,
  weights: readonly WeightEntry[] | null,
  entry: string,
  warnings: string[],
  faults: FaultLog,
): PartialSignature {
  const weightNames = weights && new Set(weights.map(({ name }) => name));
  const path = `${entry}: modelTopology`;
  const topology = asObject(model['modelTopology']);
  if (!isObject(topology['versions'])) {
    faults.add(`${path}.versions`, 'an object was expected; the loader reads the version from it');
  }
  const nodes = readGraph(topology, path, weightNames, faults);
  const signature = graphSignature(model, nodes, entry, warnings, faults);
  if (signature.inputs.length === 0) {
    faults.add(`${path}.node`, 'the graph has no placeholder, so nothing can be fed to it');
  }
  const initializer = asObject(model['modelInitializer']);
  if ((initializer['node'] ?? null) !== null) {
    readGraph(initializer, `${entry}: modelInitializer`, weightNames, faults);
  }
  return signature;
}

function readGraph(
  topology: JsonObject,
  path: string,
  weightNames: ReadonlySet<string> | null,
  faults: FaultLog,
): GraphNodes {
  const allowance = { left: MAX_NODES };
  const nodes = readNodes(topology['node'], `${path}.node`, allowance, faults);
  checkConnections(nodes, new Set(), `${path}.node`, faults);
  if (weightNames) checkConstants(nodes, weightNames, faults);
  const library = asObject(topology['library'])['function'];
  const at = `${path}.library.function`;
  new GraphFunctions(library, at, allowance, weightNames, faults).checkCalls(nodes);
  return nodes;
}
