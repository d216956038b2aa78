import { type ArtifactRef } from '../artifacts/artifact';
import { InvalidInputError } from '../common/errors';
import { isNormalizedPath } from '../formats/keras/normalized-path';
import { wantsContent } from '../formats/inspect-artifact';
import { type FileTraits } from '../formats/probe/file-kind';
import { FileProbe } from '../formats/probe/file-probe';
import { contentTypeOf } from './content-type';

/** What all descriptions of an upload together may take of the memory: more could not be loaded. */
const MAX_CONTENT_BYTES = 32 * 1024 * 1024;

/** One file of an upload, to be consumed before the next is asked for. */
export interface UploadedPart {
  readonly path: string;
  readonly body: AsyncIterable<Uint8Array>;
}

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
  store: (body: AsyncIterable<Uint8Array>) => Promise<ArtifactRef>,
): Promise<ReceivedFile[]> {
  const received = await storeParts(checked(parts), store);
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
  store: (body: AsyncIterable<Uint8Array>) => Promise<ArtifactRef>,
): Promise<ReceivedFile[]> {
  const received: ReceivedFile[] = [];
  let room = MAX_CONTENT_BYTES;
  for await (const { path, body } of parts) {
    const probe = new FileProbe();
    const kept: Kept = { pieces: [], bytes: 0, isWhole: wantsContent(path) };
    const ref = await store(watched(body, probe, kept, room));
    if (kept.isWhole) room -= kept.bytes;
    received.push({
      path,
      contentType: contentTypeOf(path),
      ref,
      ...(kept.isWhole ? { content: Buffer.concat(kept.pieces) } : {}),
      traits: await probe.finish(),
    });
  }
  return received.sort((a, b) => (a.path < b.path ? -1 : 1));
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
    // A copy: the store may hand the piece's memory to another thread.
    if (kept.isWhole) kept.pieces.push(Uint8Array.from(piece));
    yield piece;
  }
}
