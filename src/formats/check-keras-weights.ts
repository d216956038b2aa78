import { type FaultLog, quoted } from './fault-log';
import { type Extent, type Variable } from './keras-variables';
import { refuseTwins } from './refuse-twins';
import { type Shape } from './tensor-shape';
import { type WeightEntry } from './weights-manifest';

/**
 * Checks that the weights are those of the model: each variable has its weight, in a shape that its
 * layer can have, and no weight is left over.
 *
 * TensorFlow.js allocates what the layers ask for before it looks at a single weight, so a layer of
 * a billion units must be noticed before; and without any weights it starts from random ones.
 */
export function checkKerasWeights(
  variables: readonly Variable[],
  entries: readonly WeightEntry[],
  path: string,
  faults: FaultLog,
): void {
  const weights = entries.filter(({ isOptimizerState }) => !isOptimizerState);
  if (weights.length === 0) {
    if (variables.length > 0) {
      faults.add(path, 'the layers need weights, and there are none; they would start at random');
    }
    return;
  }
  if (isNumbered(weights)) checkTotal(variables, weights, path, faults);
  else matchNames(variables, weights, path, faults);
}

function matchNames(
  variables: readonly Variable[],
  weights: readonly WeightEntry[],
  path: string,
  faults: FaultLog,
): void {
  refuseTwins(variables, faults);
  const open = new Map(variables.map((variable) => [variable.name, variable]));
  for (const weight of weights) {
    const variable = open.get(weight.name) ?? open.get(withoutCell(weight.name));
    if (variable) {
      open.delete(variable.name);
      checkShape(variable, weight, faults);
    } else {
      faults.add(`${weight.path}.name`, `no layer has a weight ${quoted(weight.name)}`);
    }
  }
  for (const { name, layer } of open.values()) {
    faults.add(
      path,
      `there is no weight ${quoted(name)} for the layer ${quoted(layer.name)} (${layer.className})`,
    );
  }
}

function checkShape({ layer, shape }: Variable, weight: WeightEntry, faults: FaultLog): void {
  if (!shape || fits(weight.shape, shape)) return;
  const wanted = shape.map((extent) => extent ?? '?').join(', ');
  faults.add(
    `${weight.path}.shape`,
    `is [${weight.shape.join(', ')}], but the layer ${quoted(layer.name)} (${layer.className}) needs [${wanted}]`,
  );
}

/** Weights that are only numbered fit the layers by order; at least there must be enough of them. */
function checkTotal(
  variables: readonly Variable[],
  weights: readonly WeightEntry[],
  path: string,
  faults: FaultLog,
): void {
  const present = weights.reduce((sum, { elements }) => sum + elements, 0);
  const needed = variables.reduce((sum, { shape }) => sum + leastElements(shape), 0);
  if (needed > present) {
    faults.add(path, `the layers need at least ${needed} parameters, and there are ${present}`);
  }
}

function leastElements(shape: readonly Extent[] | null): number {
  return (shape ?? []).reduce<number>((product, extent) => product * (extent ?? 1), 1);
}

function fits(actual: Shape, wanted: readonly Extent[]): boolean {
  return (
    actual.length === wanted.length &&
    wanted.every((extent, axis) => extent === null || extent === actual[axis])
  );
}

/** `lstm/lstm_cell/kernel` as `lstm/kernel`: later Keras names the cell too, TensorFlow.js does not. */
function withoutCell(name: string): string {
  const scopes = name.split('/');
  return [...scopes.slice(0, -2), scopes.at(-1)].join('/');
}

/** The library decides by the first name which of its two ways of matching it takes. */
function isNumbered([first]: readonly WeightEntry[]): boolean {
  return first !== undefined && !Number.isNaN(parseInt(first.name.split('/').at(-1) ?? '', 10));
}
