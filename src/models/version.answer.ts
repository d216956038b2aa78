import { type Signature } from '../common/tensor';
import { type Recipe } from '../features/recipe';
import { type CompiledRef, type EngineReports, type VersionState } from './version';
import { fromPairs, type VersionDoc } from './version.doc';

/** One file of a version as the API shows it. */
export interface FileAnswer {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly contentType: string;
}

/** What an engine made of a version, as the API shows it. */
export interface CompiledAnswer {
  readonly engine: string;
  readonly release: number;
  readonly digest: string;
  readonly bytes: number;
  readonly storedBytes: number;
}

/** A version as the API shows it. */
export interface VersionAnswer {
  readonly model: string;
  readonly version: number;
  readonly state: VersionState;
  readonly format: string;
  readonly digest: string;
  readonly createdAt: string;
  readonly readyAt: string | null;
  readonly parent: number | null;
  /** `keras-h5` and the like, when the files that are loaded were made from what was uploaded. */
  readonly normalizedFrom: string | null;
  readonly files: readonly FileAnswer[];
  readonly rawBytes: number;
  readonly storedBytes: number;
  readonly addedBytes: number;
  readonly loadedBytes: number;
  readonly signature: Signature;
  readonly labels: readonly string[] | null;
  readonly recipe: Recipe | null;
  readonly description: string;
  readonly framework: string | null;
  readonly trainingParameters: Readonly<Record<string, unknown>>;
  readonly metrics: Readonly<Record<string, number>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly aliases: readonly string[];
  readonly engines: EngineReports;
  /** Kept beside the version, and in none of the bytes above. */
  readonly compiled: CompiledAnswer | null;
  readonly warnings: readonly string[];
  readonly failure: { readonly code: string; readonly message: string } | null;
}

export function toFileAnswers({ files }: Pick<VersionDoc, 'files'>): FileAnswer[] {
  return files.map(({ path, contentType, ref }) => ({
    path,
    bytes: ref.rawBytes,
    sha256: ref.sha256,
    contentType,
  }));
}

function toCompiledAnswer({ engine, release, ref }: CompiledRef): CompiledAnswer {
  const { sha256, rawBytes, storedBytes } = ref;
  return { engine, release, digest: `sha256:${sha256}`, bytes: rawBytes, storedBytes };
}

export function toVersionAnswer(doc: VersionDoc, aliases: readonly string[]): VersionAnswer {
  return {
    model: doc.model,
    version: doc.version,
    state: doc.state,
    format: doc.format,
    digest: doc.digest,
    createdAt: doc.createdAt.toISOString(),
    readyAt: doc.readyAt?.toISOString() ?? null,
    parent: doc.parent,
    normalizedFrom: doc.normalizedFrom,
    files: toFileAnswers(doc),
    rawBytes: doc.rawBytes,
    storedBytes: doc.storedBytes,
    addedBytes: doc.addedBytes,
    loadedBytes: doc.loadedBytes,
    signature: doc.signature,
    labels: doc.labels,
    recipe: doc.recipe,
    description: doc.description,
    framework: doc.framework,
    trainingParameters: doc.trainingParameters,
    metrics: fromPairs(doc.metrics),
    tags: fromPairs(doc.tags),
    aliases,
    engines: doc.engines,
    compiled: doc.compiled ? toCompiledAnswer(doc.compiled) : null,
    warnings: doc.warnings,
    failure: doc.failure,
  };
}
