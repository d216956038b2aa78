import { elementCount } from '../../common/tensor';
import { type FormGraph } from './compiled-form';
import { type OnnxEndpoint, type OnnxNode } from './onnx-model';

/**
 * The same graph, its inputs in the shapes in which they are first used.
 *
 * ONNX Runtime copies an input to write its rows in another shape. Whoever feeds it only has to
 * say so.
 */
export function fedAsUsed(graph: FormGraph): FormGraph {
  const dropped = new Set<OnnxNode>();
  const renamed = new Map<string, string>();
  const inputs = graph.inputs.map((input) => {
    const uses = graph.nodes.filter((node) => node.inputs.includes(input.name));
    const [use] = uses;
    const shape = use && uses.length === 1 ? rowsIn(graph, input, use) : null;
    if (!use || !shape) return input;
    dropped.add(use);
    renamed.set(use.outputs[0] ?? '', input.name);
    return { ...input, shape };
  });
  const nodes = graph.nodes
    .filter((node) => !dropped.has(node))
    .map((node) => ({ ...node, inputs: node.inputs.map((name) => renamed.get(name) ?? name) }));
  return { ...graph, nodes, inputs };
}

/** The shape that a node gives to an input, if it leaves each row a row. */
function rowsIn(
  { initializers }: FormGraph,
  { name, shape }: OnnxEndpoint,
  { op, inputs }: OnnxNode,
): readonly number[] | null {
  const tensor = initializers.find((candidate) => candidate.name === inputs[1]);
  if (op !== 'Reshape' || inputs[0] !== name || !tensor || !('list' in tensor)) return null;
  const sizes = tensor.list;
  const [[count, ...row], [newCount, ...newRow]] = [shape, sizes];
  if (count === undefined || count !== newCount) return null;
  const isKnown = [...row, ...newRow].every((size) => size > 0);
  return isKnown && elementCount(row) === elementCount(newRow) ? sizes : null;
}
