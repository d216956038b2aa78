import { createHash } from 'node:crypto';

import { canonicalJson } from '../common/canonical-json';
import { type Signature } from '../common/tensor';
import { type ArtifactFormat } from '../formats/artifact-format';

/**
 * Everything that decides what a version predicts; its digest is the version's identity.
 *
 * Of the files only the uploaded ones: the same upload is the same version, even when a later
 * release normalises it otherwise.
 */
export interface VersionManifest {
  readonly format: ArtifactFormat;
  readonly files: readonly {
    readonly path: string;
    readonly bytes: number;
    readonly sha256: string;
  }[];
  readonly labels: readonly string[] | null;
  readonly recipe: object | null;
  /** Only what the uploader declared: a derived signature follows from the files. */
  readonly declaredSignature: Signature | null;
}

/** `sha256:<hex>` over the canonical JSON of the manifest, files in the order of their paths. */
export function manifestDigest(manifest: VersionManifest): string {
  const files = sorted(manifest.files);
  const { format, labels, recipe, declaredSignature } = manifest;
  return digestOf({ format, files, labels, recipe, declaredSignature });
}

/** The same over the normalised files of a version, which tells whether they are still those; null without any. */
export function normalizedDigest(files: VersionManifest['files']): string | null {
  return files.length === 0 ? null : digestOf({ files: sorted(files) });
}

function sorted(files: VersionManifest['files']): VersionManifest['files'] {
  return files
    .map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

function digestOf(value: object): string {
  return `sha256:${createHash('sha256').update(canonicalJson(value)).digest('hex')}`;
}
