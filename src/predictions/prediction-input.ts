import { createHash } from 'node:crypto';

import { type NamedTensors } from '../common/tensor';
import { type PredictionInput } from './prediction.doc';
import { encodeTensorFile } from './tensor-file';

/** Tensors as an input to be stored. */
export function tensorInput(tensors: NamedTensors): PredictionInput {
  const content = encodeTensorFile(tensors);
  return {
    digest: digestOf(content),
    kind: 'tensors',
    bytes: content.length,
    contentType: 'application/octet-stream',
    content,
    tensors: Object.entries(tensors).map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
  };
}

export function digestOf(content: Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
