import { type ObjectId } from 'mongodb';

import { type ArtifactFile, blobsOf } from '../artifacts/artifact';
import { type Signature } from '../common/tensor';
import { type Recipe } from '../features/recipe';
import { type ArtifactFormat } from '../formats/artifact-format';
import { type NormalizedFrom } from '../formats/keras/normalize-upload';
import { isNormalizedPath } from '../formats/keras/normalized-path';
import {
  type CompiledRef,
  type EngineReports,
  type LoadableVersion,
  type VersionState,
} from './version';
import { manifestDigest, normalizedDigest, type VersionManifest } from './version-manifest';

/** Tags and metrics are kept as pairs, so that one index serves every key. */
export interface Pair<T> {
  readonly k: string;
  readonly v: T;
}

/** Where a version comes from, in the words of the registry client that had it made. */
export interface VersionOrigin {
  /** The address that its files were taken from. */
  readonly source: string;
  readonly runId?: string;
  readonly runLink?: string;
  readonly modelId?: string;
}

/** Collection `versions`: one immutable version of a model; `_id` is `<model>/<version>`. */
export interface VersionDoc {
  readonly _id: string;
  readonly model: string;
  readonly version: number;
  readonly state: VersionState;
  readonly format: ArtifactFormat;
  readonly entry: string;
  readonly digest: string;
  /** Equal to `digest` from reservation until the version fails or goes; unique per model. */
  readonly digestClaim?: string;
  /** The upload that writes it: only the holder of the intents may move it on. */
  readonly uploadId: string;
  readonly createdAt: Date;
  readonly readyAt: Date | null;
  /** When its description, tags or metrics were changed last. */
  readonly updatedAt?: Date;
  /** When it was deleted; its bytes stay for the grace that follows. */
  readonly deletingAt?: Date;
  readonly parent: number | null;
  /** What was uploaded, when the files that are loaded were made from it; see `isNormalizedPath`. */
  readonly normalizedFrom: NormalizedFrom | null;
  /** Digest of the normalised files, which `digest` leaves out. */
  readonly normalizedDigest: string | null;
  readonly files: readonly ArtifactFile[];
  /**
   * Every blob that it takes to read the files and the compiled form, bases included: the one place
   * that says what this version needs. Gone once it needs nothing any more.
   */
  readonly blobs?: readonly ObjectId[];
  readonly rawBytes: number;
  /** Stored bytes of the distinct blobs of its files, whoever stored them; 0 once it failed. */
  readonly storedBytes: number;
  /** Of those, the bytes of blobs that this version's upload had to write; 0 once it failed. */
  readonly addedBytes: number;
  readonly loadedBytes: number;
  readonly signature: Signature;
  readonly declaredSignature: Signature | null;
  readonly labels: readonly string[] | null;
  readonly recipe: Recipe | null;
  readonly description: string;
  readonly framework: string | null;
  /** What a registry client said of where it comes from; no part of the digest. */
  readonly origin?: VersionOrigin;
  readonly trainingParameters: Readonly<Record<string, unknown>>;
  readonly metrics: readonly Pair<number>[];
  readonly tags: readonly Pair<string>[];
  readonly engines: EngineReports;
  /** Made of the files and replaced as the compiler changes; counted in none of the bytes above. */
  readonly compiled?: CompiledRef;
  readonly warnings: readonly string[];
  readonly failure: { readonly code: string; readonly message: string } | null;
  /** Aliases that point here: set and taken away with the move, in one transaction. */
  readonly pins: readonly string[];
}

/** What a list says of a version: all but where its bytes are. */
export type VersionListing = Omit<VersionDoc, 'files' | 'blobs' | 'compiled'>;

/** What a loader needs of a version. */
export function toLoadable(doc: VersionDoc): LoadableVersion {
  const { model, version, digest, format, entry, signature, files, loadedBytes, engines } = doc;
  const { compiled } = doc;
  return {
    model,
    version,
    digest,
    format,
    entry,
    signature,
    files,
    loadedBytes,
    engines,
    compiled,
  };
}

/** Every blob that a version needs, each once. */
export function neededBlobs({
  files,
  compiled,
}: Pick<LoadableVersion, 'files' | 'compiled'>): ObjectId[] {
  return blobsOf(compiled ? [...files, compiled] : files);
}

/** What the digest of a version was made from, as its document says it now. */
export function manifestOf(doc: VersionDoc): VersionManifest {
  const { format, labels, recipe, declaredSignature } = doc;
  const { uploaded: files } = manifestFiles(doc.files);
  return { format, files, labels, recipe, declaredSignature };
}

/** Whether the document still says what its digest was made from. */
export function isIntact(doc: VersionDoc): boolean {
  const { normalized } = manifestFiles(doc.files);
  return (
    manifestDigest(manifestOf(doc)) === doc.digest &&
    normalizedDigest(normalized) === doc.normalizedDigest
  );
}

/** Files as digests see them: those that were uploaded, and those that were made from them. */
export function manifestFiles(files: readonly ArtifactFile[]): {
  readonly uploaded: VersionManifest['files'];
  readonly normalized: VersionManifest['files'];
} {
  const all = files
    .map(({ path, ref }) => ({ path, bytes: ref.rawBytes, sha256: ref.sha256 }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  return {
    uploaded: all.filter(({ path }) => !isNormalizedPath(path)),
    normalized: all.filter(({ path }) => isNormalizedPath(path)),
  };
}

export function toPairs<T>(record: Readonly<Record<string, T>>): Pair<T>[] {
  return Object.entries(record).map(([k, v]) => ({ k, v }));
}

export function fromPairs<T>(pairs: readonly Pair<T>[]): Record<string, T> {
  return Object.fromEntries(pairs.map(({ k, v }) => [k, v]));
}
