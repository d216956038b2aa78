import { createHash, hash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { type NamedTensors } from '../common/tensor';
import { type PredictionInput } from './prediction.doc';
import { encodeTensorFile } from './tensor-file';

/** Hashed between two looks at the event loop: about a third of a millisecond of work. */
const HASHED_PER_TURN = 512 * 1024;

/** Tensors as an input to be stored. */
export function tensorInput(tensors: NamedTensors): PredictionInput {
  const content = encodeTensorFile(tensors);
  return describe(tensors, content, digestOf(content));
}

/** The same for tensors that are laid out as they will be stored, however large they are. */
export async function laidOutInput(
  tensors: NamedTensors,
  content: Buffer,
): Promise<PredictionInput> {
  return describe(tensors, content, await digestInTurns(content));
}

export function digestOf(content: Uint8Array): string {
  return `sha256:${hash('sha256', content)}`;
}

/**
 * The same digest, letting the event loop turn in between.
 *
 * Not on another thread: memory cannot be read there that is being sent from here, and a copy of
 * what is large takes longer than its digest.
 */
export async function digestInTurns(content: Uint8Array): Promise<string> {
  if (content.length <= HASHED_PER_TURN) return digestOf(content);
  const sum = createHash('sha256');
  for (let at = 0; at < content.length; at += HASHED_PER_TURN) {
    if (at > 0) await nextTurn();
    sum.update(content.subarray(at, at + HASHED_PER_TURN));
  }
  return `sha256:${sum.digest('hex')}`;
}

function describe(tensors: NamedTensors, content: Buffer, digest: string): PredictionInput {
  return {
    digest,
    kind: 'tensors',
    bytes: content.length,
    contentType: 'application/octet-stream',
    content,
    tensors: Object.entries(tensors).map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
  };
}
