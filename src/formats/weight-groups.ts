import { posix } from 'node:path';

import { type WeightGroup } from '../artifacts/cut-plan';
import { isObject } from './json-value';
import { isStoredType, STORED_ELEMENT_BYTES } from './stored-types';

/**
 * Where the tensors stand that a `model.json` describes, for cutting its weight files; empty for
 * any other file. Nothing is checked here: a wrong manifest makes bad cuts of bytes that stay the
 * same, and is refused by the inspection.
 */
export function readWeightGroups(path: string, content: Uint8Array): WeightGroup[] {
  if (
    !Buffer.from(content.buffer, content.byteOffset, content.length).includes('weightsManifest')
  ) {
    return [];
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(content));
  } catch {
    return [];
  }
  const manifest = isObject(json) ? json['weightsManifest'] : undefined;
  if (!Array.isArray(manifest)) return [];
  return manifest.flatMap((group: unknown) => readGroup(posix.dirname(path), group) ?? []);
}

function readGroup(folder: string, group: unknown): WeightGroup | undefined {
  if (!isObject(group)) return undefined;
  const { paths, weights } = group as { paths?: unknown; weights?: unknown };
  if (!Array.isArray(paths) || !Array.isArray(weights)) return undefined;
  if (!paths.every((name) => typeof name === 'string')) return undefined;
  const tensors: WeightGroup['tensors'][number][] = [];
  for (const weight of weights as unknown[]) {
    const tensor = readTensor(weight);
    // Behind one that is unknown, nobody knows where the others begin.
    if (!tensor) break;
    tensors.push(tensor);
  }
  return { paths: paths.map((name) => posix.join(folder, name)), tensors };
}

function readTensor(weight: unknown): WeightGroup['tensors'][number] | undefined {
  if (!isObject(weight)) return undefined;
  const { name, shape, dtype, quantization } = weight as Record<string, unknown>;
  const type = isObject(quantization) ? quantization['dtype'] : dtype;
  if (typeof name !== 'string' || !Array.isArray(shape) || !isStoredType(type)) return undefined;
  const elements = shape.reduce<number>((product, size) => product * Number(size), 1);
  const bytes = elements * STORED_ELEMENT_BYTES[type];
  if (!Number.isSafeInteger(bytes) || bytes < 0) return undefined;
  return { name, bytes, dtype: type === 'complex64' ? 'float32' : type };
}
