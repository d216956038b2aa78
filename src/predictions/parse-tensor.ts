import { type DType, elementCount, type Tensor, type TensorSpec } from '../common/tensor';
import { type FaultList } from './fault-list';
import { indicesAt } from './input-path';

/** Says where an element stands in what the caller sent. */
export type PathOf = (indices: readonly number[]) => string;

/** The innermost lists of a tensor in row-major order. */
export type Leaves = readonly (readonly unknown[])[];

/** Told of each element that does not fit; says nothing itself, so that the loops stay free of closures. */
export type Complain = (position: number, value: unknown) => void;

/** What a protocol takes for an element of each type. */
export interface ElementReader {
  /** The bytes of a tensor of `count` elements; what is no element is complained of. */
  fill(leaves: Leaves, count: number, dtype: DType, complain: Complain): Uint8Array;
  /** Why a value is no element of that type, to stand behind its path. */
  faultOf(dtype: DType, value: unknown): string;
}

/**
 * Reads nested lists as a tensor of exactly the shape and type of `spec`; open dimensions take
 * the length of the first list found there, and every other list has to agree.
 *
 * First the lists are walked, then memory is taken for what is really there and filled, so a small
 * body cannot ask for a large tensor.
 *
 * @returns null after adding at least one fault
 */
export function parseTensor(
  value: unknown,
  spec: TensorSpec,
  pathOf: PathOf,
  faults: FaultList,
  elements: ElementReader,
): Tensor | null {
  const known = faults.size;
  const shape = [...spec.shape];
  const leaves: (readonly unknown[])[] = [];
  if (shape.length === 0) leaves.push([value]);
  else collectLeaves({ spec, shape, leaves, pathOf, faults }, value, []);
  if (faults.size > known) return null;
  const data = elements.fill(leaves, elementCount(shape), spec.dtype, (position, element) => {
    faults.add(
      () => pathOf(indicesAt(position, shape)),
      () => elements.faultOf(spec.dtype, element),
    );
  });
  return faults.size > known ? null : { dtype: spec.dtype, shape, data };
}

interface Walk {
  readonly spec: TensorSpec;
  /** The shape of `spec`, its open dimensions being settled on the way. */
  readonly shape: number[];
  /** The innermost lists in row-major order. */
  readonly leaves: (readonly unknown[])[];
  readonly pathOf: PathOf;
  readonly faults: FaultList;
}

/** Recursion ends with the rank of the signature, however deep the value is. */
function collectLeaves(walk: Walk, value: unknown, indices: number[]): void {
  const { shape, leaves } = walk;
  const level = indices.length;
  const size = shape[level] ?? -1;
  if (!Array.isArray(value) || value.length === 0 || (size !== -1 && value.length !== size)) {
    addShapeFault(walk, value, indices, size);
    return;
  }
  const list = value as readonly unknown[];
  shape[level] = list.length;
  if (level === shape.length - 1) {
    leaves.push(list);
    return;
  }
  const isAboveLeaves = level === shape.length - 2;
  for (let index = 0; index < list.length; index++) {
    const item = list[index];
    // The common case without a call: images have as many innermost lists as pixels.
    if (isAboveLeaves && Array.isArray(item) && item.length === shape[level + 1]) {
      leaves.push(item);
      continue;
    }
    indices[level] = index;
    collectLeaves(walk, item, indices);
  }
  indices.length = level;
}

function addShapeFault(
  { spec, pathOf, faults }: Walk,
  value: unknown,
  indices: readonly number[],
  size: number,
): void {
  const expected = size === -1 ? 'a list' : `a list of ${size}`;
  faults.add(
    () => pathOf(indices),
    () => `is ${describeValue(value)}, ${expected} was expected (${describeSpec(spec)})`,
  );
}

export function describeValue(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'missing';
  if (Array.isArray(value))
    return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'string') return `the string ${JSON.stringify(value.slice(0, 30))}`;
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint')
    return `the ${typeof value} ${value}`;
  return 'an object';
}

/** `image: float32 [-1, 28, 28, 1]` */
export function describeSpec({ name, dtype, shape }: TensorSpec): string {
  return `${name}: ${dtype} [${shape.join(', ')}]`;
}
