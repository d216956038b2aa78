/** What a pickle names and would import: a class or a function of a Python module. */
export interface PickleGlobal {
  readonly kind: 'global';
  readonly module: string;
  readonly name: string;
}

interface PickleTuple {
  readonly kind: 'tuple';
  readonly items: readonly PickleValue[];
}

interface PickleDict {
  readonly kind: 'dict';
  readonly entries: Map<string, PickleValue>;
}

/** Something that a class or function of the pickle would make. */
interface PickleObject {
  readonly kind: 'object';
  readonly of: PickleGlobal | null;
  readonly args: PickleValue;
}

/**
 * What is known of a value that a pickle would build, without building it; null for all that does
 * not matter to which names are imported and where the arrays of joblib end.
 */
export type PickleValue =
  string | number | PickleGlobal | PickleTuple | PickleDict | PickleObject | null;

const MAX_ITEMS = 64;

export function aTuple(items: readonly PickleValue[]): PickleValue {
  return items.length <= MAX_ITEMS ? { kind: 'tuple', items } : null;
}

export function aDict(): PickleValue {
  return { kind: 'dict', entries: new Map() };
}

export function anObject(of: PickleValue, args: PickleValue): PickleValue {
  if (typeof of !== 'object' || of?.kind !== 'global') return null;
  // Only arrays are looked into: whatever else is built need not be remembered with its parts.
  return { kind: 'object', of, args: isArrayPart(of) ? args : null };
}

export function setEntries(target: PickleValue, pairs: readonly PickleValue[]): void {
  if (typeof target !== 'object' || target?.kind !== 'dict') return;
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const key = pairs[at];
    if (typeof key !== 'string' || target.entries.size >= MAX_ITEMS) continue;
    target.entries.set(key, pairs[at + 1] ?? null);
  }
}

function isArrayPart({ module, name }: PickleGlobal): boolean {
  return (module === 'numpy' && name === 'dtype') || name === 'NumpyArrayWrapper';
}

/** An array of joblib, whose bytes stand in the file right behind the value that describes it. */
export interface InlineArray {
  /** Of objects: then another pickle stands there instead of plain bytes. */
  readonly isPickled: boolean;
  readonly bytes: number;
  /** Whether a length byte and that many bytes of padding come first. */
  readonly isPadded: boolean;
}

/** The array that begins once `state` is given to `target`; null for any other value. */
export function inlineArray(
  target: PickleValue,
  state: PickleValue,
): InlineArray | 'unclear' | null {
  if (typeof target !== 'object' || target?.kind !== 'object') return null;
  if (target.of?.name !== 'NumpyArrayWrapper' || !target.of.module.includes('joblib')) return null;
  if (typeof state !== 'object' || state?.kind !== 'dict') return 'unclear';
  const itemBytes = itemSize(state.entries.get('dtype') ?? null);
  const shape = state.entries.get('shape') ?? null;
  if (itemBytes === null || typeof shape !== 'object' || shape?.kind !== 'tuple') return 'unclear';
  let elements = 1;
  for (const size of shape.items) elements *= typeof size === 'number' ? size : NaN;
  const bytes = elements * (itemBytes === 'object' ? 0 : itemBytes);
  if (!Number.isSafeInteger(bytes) || bytes < 0) return 'unclear';
  const isPadded = typeof state.entries.get('numpy_array_alignment_bytes') === 'number';
  return { isPickled: itemBytes === 'object', bytes, isPadded };
}

/** Bytes of an element by its type's code, e.g. `f8`; of texts each character takes four. */
function itemSize(dtype: PickleValue): number | 'object' | null {
  if (typeof dtype !== 'object' || dtype?.kind !== 'object' || dtype.of?.name !== 'dtype') {
    return null;
  }
  const { args } = dtype;
  const code = typeof args === 'object' && args?.kind === 'tuple' ? args.items[0] : null;
  const match = typeof code === 'string' ? /^[<>=|]?([a-zA-Z?])(\d*)$/.exec(code) : null;
  if (!match) return null;
  if (match[1] === 'O') return 'object';
  const size = Number(match[2] === '' ? 1 : match[2]);
  return match[1] === 'U' ? size * 4 : size;
}
