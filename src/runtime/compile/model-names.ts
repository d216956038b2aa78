import { type TensorSpec } from '../../common/tensor';
import { TensorMismatchError } from '../runtime.errors';

/**
 * The signature's names in the order of a layers model's tensors. Layers are known by their names;
 * a lone tensor may be called something else in the signature.
 */
export function orderNames(
  side: 'input' | 'output',
  own: readonly string[],
  wanted: readonly TensorSpec[],
): readonly string[] {
  const [only] = wanted;
  if (wanted.length === 0) return own;
  if (only && wanted.length === 1 && own.length === 1) return [only.name];
  const names = new Set(wanted.map(({ name }) => name));
  if (names.size === own.length && own.every((name) => names.has(name))) return own;
  throw new TensorMismatchError(`The signature's ${side} names are not those of the model`, {
    signature: [...names],
    model: own,
  });
}

/** A tensor of a signature and where it is in the graph, at times with the index of an output. */
export interface NamedNode {
  readonly name: string;
  readonly node: string;
  readonly spec?: TensorSpec;
}

/**
 * Where each name of the signature is in the graph. A signature calls its tensors what their
 * author did, with or without `:0`; graphs converted without one are known by their nodes.
 */
export function graphEndpoints(
  wanted: readonly TensorSpec[],
  nodes: readonly string[],
  own: Readonly<Record<string, { readonly name: string }>> | undefined,
): readonly NamedNode[] {
  if (wanted.length === 0) return nodes.map((node) => ({ name: plainName(node), node }));
  return wanted.map((spec) => ({
    name: spec.name,
    node: (own?.[spec.name] ?? own?.[`${spec.name}:0`])?.name ?? spec.name,
    spec,
  }));
}

export function plainName(name: string): string {
  return name.endsWith(':0') ? name.slice(0, -2) : name;
}
