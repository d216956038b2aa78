/** Longest name of a weight, a node or a layer; scopes nest, but not that far. */
const MAX_NAME_LENGTH = 2048;

/**
 * What is wrong with a name that will become a key, or nothing.
 *
 * TensorFlow.js keeps weights, nodes and layers in plain objects: a name that every object already
 * has would be found there before it was ever put in, or change the object's prototype.
 */
export function nameFault(name: unknown): string | undefined {
  if (typeof name !== 'string') return 'a name was expected here';
  if (name === '') return 'the name is empty';
  if (name.length > MAX_NAME_LENGTH) return `the name is longer than ${MAX_NAME_LENGTH} characters`;
  if (name in Object.prototype || name === 'prototype') {
    return `the name ${name} is one that every object has`;
  }
  if (/\p{Cc}/u.test(name)) return 'the name holds a control character';
  if (!name.isWellFormed()) return 'the name is not valid Unicode';
  return undefined;
}
