const PLAIN_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** `instances[2]` */
export function indexPath(parent: string, indices: readonly number[]): string {
  return parent + indices.map((index) => `[${index}]`).join('');
}

/** `inputs.image`, or `inputs["serving/image"]` where a dot would mislead. */
export function memberPath(parent: string, name: string): string {
  const shown = name.slice(0, 60);
  return PLAIN_NAME.test(shown) ? `${parent}.${shown}` : `${parent}[${JSON.stringify(shown)}]`;
}

/** The indices of the element at a row-major position. */
export function indicesAt(position: number, shape: readonly number[]): number[] {
  const indices: number[] = [];
  let rest = position;
  for (const size of shape.toReversed()) {
    indices.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return indices;
}
