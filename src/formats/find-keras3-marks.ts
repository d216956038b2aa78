import { asArray, isObject, type JsonObject, member } from './json-value';

/**
 * What in a topology is written the way Keras 3 does, in words; empty for older ones.
 *
 * The version in the file proves nothing: a topology rewritten for TensorFlow.js keeps it. What the
 * library trips over, or reads wrongly without a word, does.
 */
export function findKeras3Marks(topology: JsonObject): readonly string[] {
  const marks = new Set<string>();
  const open: unknown[] = [topology];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (isObject(value)) {
      for (const mark of marksOf(value)) marks.add(mark);
    }
    // One by one: as arguments of a single call, a million of them would overflow the stack.
    for (const inner of Object.values(value as object)) {
      if (typeof inner === 'object' && inner !== null) open.push(inner);
    }
  }
  return [...marks].sort();
}

function* marksOf(object: JsonObject): Generator<string> {
  const className = member(object, 'className');
  if (className === 'DTypePolicy') yield 'types given as a DTypePolicy';
  if (className === '__keras_tensor__') yield 'layer calls with __keras_tensor__';
  const config = member(object, 'config');
  if (isObject(config)) {
    const has = (name: string): boolean => (member(config, name) ?? null) !== null;
    if (className === 'InputLayer' && has('batchShape') && !has('batchInputShape')) {
      yield 'an InputLayer with batch_shape';
    }
    if (className === 'LeakyReLU' && has('negativeSlope') && !has('alpha')) {
      yield 'a LeakyReLU with negative_slope';
    }
  }
  if (
    typeof asArray(member(object, 'inputLayers'))[0] === 'string' ||
    typeof asArray(member(object, 'outputLayers'))[0] === 'string'
  ) {
    yield 'input_layers or output_layers that are no list of lists';
  }
}
