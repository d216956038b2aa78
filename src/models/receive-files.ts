import assert from 'node:assert/strict';

import { type ArtifactRef } from '../artifacts/artifact';
import { type ArtifactWriter } from '../artifacts/artifact-writer';
import { InvalidInputError } from '../common/errors';
import { isNormalizedPath } from '../formats/keras/normalized-path';
import { wantsContent } from '../formats/inspect-artifact';
import { type FileTraits } from '../formats/probe/file-kind';
import { WalkAllowance } from '../formats/onnx/proto-walk';
import { FileProbe } from '../formats/probe/file-probe';
import { readWeightGroups } from '../formats/weight-groups';
import { contentTypeOf } from './content-type';

/** What all descriptions of an upload together may take of the memory: more could not be loaded. */
const MAX_CONTENT_BYTES = 32 * 1024 * 1024;

/** One file of an upload, to be consumed before the next is asked for. */
export interface UploadedPart {
  readonly path: string;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Takes files in, and says where they are once all of them have come; may be asked again. */
export type FileWriter = Pick<ArtifactWriter, 'plan' | 'write' | 'finish'>;

export interface ReceivedFile {
  readonly path: string;
  readonly contentType: string;
  readonly ref: ArtifactRef;
  /** The raw bytes of the few files that the inspection reads. */
  readonly content?: Uint8Array;
  /** What its bytes showed it to be. */
  readonly traits: FileTraits;
}

/**
 * Stores an upload's files as they stream in, one after the other: hashed, encoded, never whole
 * in memory but for the descriptions that the inspection needs.
 *
 * @throws InvalidInputError for an upload without files or with a path used twice
 */
export async function receiveFiles(
  parts: AsyncIterable<UploadedPart>,
  writer: FileWriter,
): Promise<ReceivedFile[]> {
  const received = await storeParts(checked(parts), writer);
  if (received.length === 0) {
    throw new InvalidInputError('The upload holds no files', [
      {
        path: '',
        message: 'send at least one file part; its filename is its path in the artifact',
      },
    ]);
  }
  return received;
}

async function* checked(parts: AsyncIterable<UploadedPart>): AsyncGenerator<UploadedPart> {
  const paths = new Set<string>();
  for await (const part of parts) {
    const { path } = part;
    if (paths.has(path)) {
      throw new InvalidInputError('A path stands twice in the upload', [
        { path, message: 'uploaded twice' },
      ]);
    }
    if (isNormalizedPath(path)) {
      throw new InvalidInputError('The upload uses a folder that belongs to the store', [
        { path, message: 'normalised models are kept in this folder; choose another' },
      ]);
    }
    paths.add(path);
    yield part;
  }
}

/** Stores files one after the other, whoever made them; in the order of their paths. */
export async function storeParts(
  parts: AsyncIterable<UploadedPart>,
  writer: FileWriter,
): Promise<ReceivedFile[]> {
  const received: Omit<ReceivedFile, 'ref'>[] = [];
  let room = MAX_CONTENT_BYTES;
  const allowance = new WalkAllowance();
  for await (const { path, body } of parts) {
    const probe = new FileProbe(allowance);
    const kept: Kept = { pieces: [], bytes: 0, isWhole: wantsContent(path) };
    await writer.write(path, watched(body, probe, kept, room));
    const content = kept.isWhole ? Buffer.concat(kept.pieces) : undefined;
    if (content) {
      room -= content.length;
      writer.plan(readWeightGroups(path, content));
    }
    received.push({
      path,
      contentType: contentTypeOf(path),
      ...(content ? { content } : {}),
      traits: await probe.finish(),
    });
  }
  const refs = await writer.finish();
  return received
    .map((file) => ({ ...file, ref: refOf(refs, file.path) }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

function refOf(refs: ReadonlyMap<string, ArtifactRef>, path: string): ArtifactRef {
  const ref = refs.get(path);
  assert(ref, 'the writer gives a reference for each file that it took in');
  return ref;
}

/** The content of a file that may be a description, until there is too much of it. */
interface Kept {
  pieces: Uint8Array[];
  bytes: number;
  isWhole: boolean;
}

async function* watched(
  body: AsyncIterable<Uint8Array>,
  probe: FileProbe,
  kept: Kept,
  room: number,
): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    await probe.push(piece);
    kept.bytes += piece.length;
    if (kept.bytes > room) {
      kept.isWhole = false;
      kept.pieces = [];
    }
    // A copy: the piece can be a view of something much larger.
    if (kept.isWhole) kept.pieces.push(Uint8Array.from(piece));
    yield piece;
  }
}
