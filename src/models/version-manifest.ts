import { createHash } from 'node:crypto';

import { canonicalJson } from '../common/canonical-json';
import { type Signature } from '../common/tensor';
import { type ArtifactFormat } from '../formats/artifact-format';

/** Everything that decides what a version predicts; its digest is the version's identity. */
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
  const files = manifest.files
    .map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const { format, labels, recipe, declaredSignature } = manifest;
  const text = canonicalJson({ format, files, labels, recipe, declaredSignature });
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
