import assert from 'node:assert';

import { elementCount } from '../../common/tensor';
import { type FormGraph, type FormTensor } from './compiled-form';
import { type ComputedType, type Constant, permuted, reshaped } from './constant';
import { fedAsUsed } from './fed-rows';
import { type OnnxAttributes, type OnnxEndpoint, type OnnxNode } from './onnx-model';
import { rankOf, toFirst, toLast, type Value } from './value';

/** Lists of whole numbers that are looked into: sizes and axes, not weights that happen to be whole. */
const MOST_KNOWN = 4096;

/**
 * Collects the nodes of an ONNX graph.
 *
 * Names are its own, so nothing in a model can clash with them. What no output needs is left out
 * when the graph is encoded: nodes, and the constants that were folded into others.
 */
export class GraphBuilder {
  private readonly nodes: OnnxNode[] = [];
  private readonly initializers = new Map<string, FormTensor>();
  private readonly lists = new Map<string, string>();
  private readonly inputs: OnnxEndpoint[] = [];
  private count = 0;

  input(dtype: ComputedType, shape: readonly number[]): Value {
    const name = `in${this.inputs.length}`;
    this.inputs.push({ name, type: dtype, shape });
    return { dtype, shape, names: { last: name } };
  }

  constant(constant: Constant): Value {
    const { dtype, shape } = constant;
    const isList = dtype === 'int32' && shape.length <= 1 && elementCount(shape) <= MOST_KNOWN;
    return {
      dtype,
      shape,
      names: {},
      constant,
      ...(isList ? { known: [...constant.read()] } : {}),
    };
  }

  /**
   * Adds a node, `since` being the operator set that its meaning dates from.
   *
   * @returns the name of its first output
   */
  emit(
    op: string,
    since: number,
    inputs: readonly string[],
    attributes: OnnxAttributes = {},
  ): string {
    const [name] = this.emitMany(op, since, inputs, attributes, 1);
    assert(name !== undefined);
    return name;
  }

  emitMany(
    op: string,
    since: number,
    inputs: readonly string[],
    attributes: OnnxAttributes,
    outputs: number,
  ): string[] {
    return [...this.node(op, since, inputs, attributes, outputs).outputs];
  }

  /** The node itself, for those that later ones are folded into. */
  node(
    op: string,
    since: number,
    inputs: readonly string[],
    attributes: OnnxAttributes = {},
    outputs = 1,
  ): OnnxNode {
    assert(since <= 17, `${op}-${since} is newer than the operator set of compiled models`);
    const names = Array.from({ length: outputs }, () => this.newName());
    const node: OnnxNode = { op, inputs, outputs: names, attributes };
    this.nodes.push(node);
    return node;
  }

  /** Its name as TensorFlow has it. */
  last(value: Value): string {
    const { names, constant } = value;
    if (names.last !== undefined) return names.last;
    if (constant) return (names.last = this.weights(constant));
    assert(names.first !== undefined, 'a value has a name in one of the layouts');
    return (names.last = this.transpose(names.first, toLast(rankOf(value))));
  }

  /** Its name with the channels behind the batch; for values of rank three and more. */
  first(value: Value): string {
    const { names, constant } = value;
    if (names.first !== undefined) return names.first;
    const permutation = toFirst(rankOf(value));
    if (constant) return (names.first = this.weights(permuted(constant, permutation)));
    const { shape } = value;
    const isReshape = shape.at(-1) === 1 && shape.filter((size) => size < 0).length <= 1;
    // Moving an axis of one moves no number.
    if (isReshape) {
      const sizes = this.list(permutation.map((axis) => shape[axis] ?? 1));
      const inputs = [this.last(value), sizes];
      return (names.first = this.emit('Reshape', 14, inputs, { allowzero: { int: 1 } }));
    }
    return (names.first = this.transpose(this.last(value), permutation));
  }

  weights(constant: Constant): string {
    const name = this.newName();
    this.initializers.set(name, { name, recipe: constant.recipe });
    return name;
  }

  /** A list of whole numbers as ONNX wants its shapes and axes. */
  list(values: readonly number[]): string {
    return this.int64(values, [values.length]);
  }

  index(value: number): string {
    return this.int64([value], []);
  }

  /** The graph, its inputs in the shapes in which it takes them. */
  finish(outputs: readonly Value[]): FormGraph {
    const endpoints = outputs.map((value, index): OnnxEndpoint => {
      const name = `out${index}`;
      // The same tensor may be asked for twice, or be an input: each output has a node of its own.
      this.nodes.push({
        op: 'Identity',
        inputs: [this.last(value)],
        outputs: [name],
        attributes: {},
      });
      return { name, type: value.dtype, shape: value.shape };
    });
    const graph = fedAsUsed({
      nodes: needed(this.nodes, endpoints),
      initializers: [...this.initializers.values()],
      inputs: this.inputs,
      outputs: endpoints,
    });
    const used = new Set(graph.nodes.flatMap(({ inputs }) => inputs));
    return { ...graph, initializers: graph.initializers.filter(({ name }) => used.has(name)) };
  }

  /** Transpose-13. */
  private transpose(name: string, permutation: readonly number[]): string {
    return this.emit('Transpose', 13, [name], { perm: { ints: permutation } });
  }

  private int64(values: readonly number[], shape: readonly number[]): string {
    const key = `${shape.join()}:${values.join()}`;
    const found = this.lists.get(key);
    if (found !== undefined) return found;
    const name = this.newName();
    this.initializers.set(name, { name, shape, list: values });
    this.lists.set(key, name);
    return name;
  }

  private newName(): string {
    return `%${this.count++}`;
  }
}

/** A constant with leading axes of one, so that it has a rank. */
export function withRank(constant: Constant, rank: number): Constant {
  const missing = Math.max(0, rank - constant.shape.length);
  return reshaped(constant, [...new Array<number>(missing).fill(1), ...constant.shape]);
}

function needed(nodes: readonly OnnxNode[], outputs: readonly OnnxEndpoint[]): OnnxNode[] {
  const wanted = new Set(outputs.map(({ name }) => name));
  const kept: OnnxNode[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((name) => wanted.has(name))) continue;
    for (const input of node.inputs) wanted.add(input);
    kept.push(node);
  }
  return kept.reverse();
}
