import { createHash } from 'node:crypto';

import { canonicalJson } from '../common/canonical-json';
import { type PublishRequest } from './publish.service';
import { type UploadedPart } from './receive-files';

/**
 * What an upload says, whatever it is wrapped in: paths, contents and metadata, had while the body
 * streams by. Two uploads of the same files are the same, though each form has its own boundary.
 */
export class UploadFingerprint {
  private readonly files: { readonly path: string; readonly sha256: string }[] = [];
  private progress: 'untouched' | 'reading' | 'complete' = 'untouched';

  constructor(private readonly source: AsyncIterable<UploadedPart>) {}

  /** The parts of the upload, hashed as they are read. */
  async *parts(): AsyncGenerator<UploadedPart> {
    this.progress = 'reading';
    for await (const { path, body } of this.source) {
      const hash = createHash('sha256');
      yield { path, body: hashing(body, hash) };
      this.files.push({ path, sha256: hash.digest('hex') });
    }
    this.progress = 'complete';
  }

  /** Reads what nobody has read yet. Null when the body was given up before its end. */
  async of(request: PublishRequest): Promise<string | null> {
    if (this.progress === 'untouched') {
      for await (const { body } of this.parts()) await drain(body);
      request.assertArrived?.();
    }
    if (this.progress !== 'complete') return null;
    const files = this.files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
    const said = canonicalJson({ files, metadata: request.metadata() });
    return createHash('sha256').update(said).digest('hex');
  }
}

async function* hashing(
  body: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    hash.update(piece);
    yield piece;
  }
}

async function drain(body: AsyncIterable<Uint8Array>): Promise<void> {
  const pieces = body[Symbol.asyncIterator]();
  while ((await pieces.next()).done !== true);
}
