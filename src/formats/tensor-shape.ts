/** The largest dimension that a tensor of TensorFlow.js can have: lengths are 32 bit. */
const MAX_DIMENSION = 2 ** 31 - 1;

/** Far beyond any tensor; keeps a list of a million ones from being a shape. */
const MAX_RANK = 32;

/** Elements of one row of an input: 1 GiB as float32, which no request could carry. */
const MAX_ROW_ELEMENTS = 2 ** 28;

/** Sizes of the dimensions; `-1` where the caller chooses, or where nobody knows before a run. */
export type Shape = readonly number[];

/** What is wrong with the shape of a weight, or nothing. */
export function weightShapeFault(shape: unknown): string | undefined {
  if (!Array.isArray(shape)) return 'a list of dimensions was expected';
  if (shape.length > MAX_RANK) return `more than ${MAX_RANK} dimensions`;
  let elements = 1;
  for (const dimension of shape as readonly unknown[]) {
    if (!isDimension(dimension)) {
      return `${describe(dimension)} is no dimension; whole numbers from 0 to ${MAX_DIMENSION} are`;
    }
    elements *= Math.max(dimension, 1);
  }
  if (elements > Number.MAX_SAFE_INTEGER) return 'the product of the dimensions is too large';
  return undefined;
}

/** What is wrong with the shape of an input, or nothing. */
export function inputShapeFault(shape: Shape): string | undefined {
  if (shape.length > MAX_RANK) return `more than ${MAX_RANK} dimensions`;
  const row = shape.slice(1).reduce((product, dimension) => product * Math.max(dimension, 1), 1);
  if (row > MAX_ROW_ELEMENTS || Math.max(...shape, 0) > MAX_ROW_ELEMENTS) {
    return `one row would have more than ${MAX_ROW_ELEMENTS} elements`;
  }
  return undefined;
}

/** A dimension of a Keras configuration, where null is one that the caller chooses. */
export function isOpenOrDimension(value: unknown): value is number | null {
  return value === null || isDimension(value);
}

/** `-0` is refused as well: it prints as 0 and compares as 0, yet `Object.is` tells them apart. */
function isDimension(value: unknown): value is number {
  return (
    typeof value === 'number' &&
    Number.isInteger(value) &&
    value >= 0 &&
    value <= MAX_DIMENSION &&
    !Object.is(value, -0)
  );
}

/**
 * The closest statement that two sources make together; `enforced` is what the engine insists on,
 * so it wins where they disagree.
 */
export function mergeShapes(
  enforced: Shape | undefined,
  declared: Shape | undefined,
): Shape | undefined {
  if (!enforced || !declared) return enforced ?? declared;
  if (enforced.length !== declared.length) return enforced;
  return enforced.map((dimension, axis) => (dimension >= 0 ? dimension : (declared[axis] ?? -1)));
}

/** Whether some tensor has both shapes. */
export function areCompatible(one: Shape, other: Shape): boolean {
  return (
    one.length === other.length &&
    one.every((dimension, axis) => {
      const opposite = other[axis] ?? -1;
      return dimension < 0 || opposite < 0 || dimension === opposite;
    })
  );
}

function describe(value: unknown): string {
  if (Object.is(value, -0)) return '-0';
  return JSON.stringify(value).slice(0, 40);
}
