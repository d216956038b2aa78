import { type ArtifactRef } from '../artifacts/artifact';
import { InvalidInputError } from '../common/errors';
import { wantsContent } from '../formats/inspect-artifact';
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
  const received = new Map<string, ReceivedFile>();
  let room = MAX_CONTENT_BYTES;
  for await (const { path, body } of parts) {
    if (received.has(path)) {
      throw new InvalidInputError('A path stands twice in the upload', [
        { path, message: 'uploaded twice' },
      ]);
    }
    const kept: Uint8Array[] = [];
    const ref = await store(wantsContent(path) ? keeping(body, kept, path, room) : body);
    room -= kept.reduce((bytes, piece) => bytes + piece.length, 0);
    received.set(path, {
      path,
      contentType: contentTypeOf(path),
      ref,
      ...(wantsContent(path) ? { content: Buffer.concat(kept) } : {}),
    });
  }
  if (received.size === 0) {
    throw new InvalidInputError('The upload holds no files', [
      {
        path: '',
        message: 'send at least one file part; its filename is its path in the artifact',
      },
    ]);
  }
  return [...received.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function* keeping(
  body: AsyncIterable<Uint8Array>,
  kept: Uint8Array[],
  path: string,
  room: number,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > room) {
      throw new InvalidInputError('The JSON files of the upload are too large', [
        { path, message: `together they are larger than ${MAX_CONTENT_BYTES} bytes` },
      ]);
    }
    // A copy: the store may hand the piece's memory to another thread.
    kept.push(Uint8Array.from(piece));
    yield piece;
  }
}
