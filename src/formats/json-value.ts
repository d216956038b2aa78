/** An object as the parser made it: its keys are whatever the file says. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function asObject(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

export function without(object: JsonObject, name: string): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));
}

/**
 * A member of a Keras configuration, by its name in camel case.
 *
 * TensorFlow.js turns every key into camel case first, so `class_name` and `className` are the same
 * to it and the later one wins. Looking only at the usual spelling would let the other one past.
 */
export function member(object: JsonObject, name: string): unknown {
  let found: unknown;
  for (const key of Object.keys(object)) {
    // The first letter never changes, which rules most keys out before any is rewritten.
    if (!key.startsWith(name.charAt(0))) continue;
    if (key === name || toCamelCase(key) === name) found = object[key];
  }
  return found;
}

function toCamelCase(key: string): string {
  if (key.length <= 1 || !key.includes('_')) return key;
  return key.replace(/_+(\w|$)/g, (_, next: string) => next.toUpperCase());
}
