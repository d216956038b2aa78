import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { ObjectId } from 'mongodb';

import { type ArtifactFile } from '../../src/artifacts/artifact';
import { type Piece, type RoomFor } from '../../src/artifacts/artifact.store';
import { type ArtifactFormat } from '../../src/formats/artifact-format';
import { inspectArtifact, wantsContent } from '../../src/formats/inspect-artifact';
import { type LoadableVersion } from '../../src/models/version';
import { type FileSource } from '../../src/runtime/engines/engine';
import { fixturePath } from './fixtures';

const PIECE_BYTES = 10_007;

/** Files of an artifact in memory, as a source for engines. */
export class MemorySource implements FileSource {
  constructor(private readonly files: ReadonlyMap<string, Uint8Array>) {}

  async read({ path }: ArtifactFile): Promise<ArrayBuffer> {
    const bytes = this.files.get(path);
    if (!bytes) throw new RangeError(`No file ${path}`);
    return await Promise.resolve(Uint8Array.from(bytes).buffer);
  }

  /** In pieces that are no multiple of anything, into the room that there is for them. */
  async *open(file: ArtifactFile, roomFor?: RoomFor): AsyncGenerator<Piece> {
    const whole = new Uint8Array(await this.read(file));
    for (let start = 0; start < whole.length; start += PIECE_BYTES) {
      const bytes = whole.subarray(start, start + PIECE_BYTES);
      const room = roomFor?.({ start, end: start + bytes.length });
      room?.set(bytes);
      yield room ? { length: bytes.length } : { length: bytes.length, bytes };
    }
  }
}

export function readArtifact(folder: string): Map<string, Uint8Array> {
  const root = fixturePath(folder);
  return new Map(
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((item) => item.isFile() && !/^(golden|input)\.json$/.test(item.name))
      .map((item) => {
        const path = join(item.parentPath, item.name);
        return [relative(root, path), readFileSync(path)] as const;
      }),
  );
}

/** A version without files, for tests that never load it. */
export function aLoadable(version: Partial<LoadableVersion> = {}): LoadableVersion {
  return {
    model: 'tested',
    version: 1,
    digest: `sha256:${'0'.repeat(64)}`,
    format: 'tfjs-layers',
    entry: 'model.json',
    signature: { inputs: [], outputs: [] },
    files: [],
    loadedBytes: 0,
    engines: {},
    ...version,
  };
}

/** What the inspection of an upload would hand to whoever loads it. */
export function inspected(files: ReadonlyMap<string, Uint8Array>): Partial<LoadableVersion> {
  const { format, entry, signature, loadedBytes } = inspectArtifact(
    [...files].map(([path, bytes]) => ({
      path,
      bytes: bytes.length,
      ...(wantsContent(path) ? { content: bytes } : {}),
    })),
  );
  return { format, entry, signature, loadedBytes };
}

/** A version whose files are not stored: only engines that read from a `MemorySource` can load it. */
export function aVersion(
  files: ReadonlyMap<string, Uint8Array>,
  version: Partial<LoadableVersion> = {},
): LoadableVersion {
  const json = JSON.parse(new TextDecoder().decode(files.get('model.json'))) as {
    modelTopology: { node?: unknown };
  };
  const format: ArtifactFormat = json.modelTopology.node ? 'tfjs-graph' : 'tfjs-layers';
  return aLoadable({
    format,
    files: [...files].map(([path, bytes]) => unstoredFile(path, bytes)),
    loadedBytes: [...files.values()].reduce((sum, { length }) => sum + length, 0),
    ...version,
  });
}

function unstoredFile(path: string, bytes: Uint8Array): ArtifactFile {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return {
    path,
    contentType: 'application/octet-stream',
    ref: {
      sha256,
      rawBytes: bytes.length,
      storedBytes: bytes.length,
      segments: [
        { blob: new ObjectId(), sha256, rawBytes: bytes.length, storedBytes: bytes.length },
      ],
    },
  };
}
