import { inspectArtifact, wantsContent } from '../src/formats/inspect-artifact';
import { type LoadableVersion } from '../src/models/version';
import { type FileSource } from '../src/runtime/engines/engine';
import { type ModelFiles } from './bench-models';

/** Files of one model for an engine, without a store. */
export class HeldFiles implements FileSource {
  constructor(public held: ModelFiles = {}) {}

  async read({ path }: { readonly path: string }): Promise<ArrayBuffer> {
    return await Promise.resolve(Uint8Array.from(this.held[path] ?? []).buffer);
  }

  async *open(file: { readonly path: string }): ReturnType<FileSource['open']> {
    const bytes = new Uint8Array(await this.read(file));
    yield { length: bytes.length, bytes };
  }
}

/** A version as an engine wants it, of files that no store has. */
export function versionOf(name: string, files: ModelFiles): LoadableVersion {
  const { format, entry, signature, loadedBytes } = inspectArtifact(
    Object.entries(files).map(([path, content]) => ({
      path,
      bytes: content.length,
      ...(wantsContent(path) ? { content } : {}),
    })),
  );
  const stored = Object.entries(files).map(([path, { length }]) => ({
    path,
    contentType: 'application/octet-stream',
    ref: { sha256: '', rawBytes: length, storedBytes: length, segments: [] },
  }));
  const digest = 'sha256:bench';
  return {
    ...{ model: name.replaceAll('/', '-'), version: 1, digest, format, entry, signature },
    ...{ files: stored, loadedBytes, engines: {} },
  };
}
