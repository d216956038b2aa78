import { createHash, hash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { type NamedTensors } from '../common/tensor';
import { putBefore } from '../http/raw-body';
import { type PredictionInput, type TensorHeader } from './prediction.doc';
import { encodeFileHeader, encodeTensorFile } from './tensor-file';

/** Smaller bodies are copied and hashed faster than the event loop turns. */
export const INLINE_RAW_BYTES = 256 * 1024;

/**
 * Free memory before a larger body, for the head of the file that it is stored as. A multiple of
 * what numbers are aligned to; no name of a tensor is nearly as long.
 */
export const HEAD_ROOM_BYTES = 4096;

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

/**
 * A large body that is the bytes of these tensors, one behind the other, as it will be stored:
 * nothing is copied but the head, which is put before it. Null for a small one, and where the bytes
 * do not stand in the order of the file.
 *
 * @param body read with `HEAD_ROOM_BYTES` before it, which is overwritten
 */
export function layOut(tensors: readonly TensorHeader[], body: Buffer): Buffer | null {
  const isSorted = tensors.every(({ name }, place) => name >= (tensors[place - 1]?.name ?? ''));
  const head = body.length > INLINE_RAW_BYTES && isSorted ? encodeFileHeader(tensors) : null;
  return head && head.length <= HEAD_ROOM_BYTES ? putBefore(body, head) : null;
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
