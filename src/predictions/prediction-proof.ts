import { createHash } from 'node:crypto';

import { canonicalJson } from '../common/canonical-json';
import { type NamedTensors } from '../common/tensor';
import { type VersionManifest } from '../models/version-manifest';
import { digestOf } from './prediction-input';
import { type ErasedAnswer, toErasedAnswer } from './prediction.answer';
import { type ErasedNote, type Prediction } from './prediction.doc';
import { encodeTensorFile } from './tensor-file';

const NO_BYTES = new Uint8Array(0);

/** What a record claims, reduced to what can be checked later: values stand here by their digests. */
export interface RecordFacts {
  readonly predictionId: string;
  readonly model: string;
  readonly version: number;
  /** `sha256:<hex>` of the canonical JSON of the manifest. */
  readonly versionDigest: string;
  readonly alias: string | null;
  readonly protocol: string;
  readonly status: string;
  readonly rows: number;
  readonly callerId: string | null;
  readonly tags: Readonly<Record<string, string>>;
  readonly createdAt: string;
  /** Of the input's stored bytes: what `GET …/{id}/input` gives. */
  readonly inputDigest: string;
  /** Of the recipe that made tensors of images. */
  readonly recipeDigest: string | null;
  /** Of the outputs as a tensor file: what `GET …/{id}/outputs` gives. */
  readonly outputsDigest: string | null;
}

/** Everything it takes to check a record without the store. */
export interface PredictionProof {
  readonly facts: RecordFacts;
  /** `sha256:<hex>` of the canonical JSON of `facts`: the one value to keep somewhere else. */
  readonly recordDigest: string;
  /** What the version's digest was made from. */
  readonly manifest: VersionManifest;
  /**
   * Set when the bytes of the input were erased since. No fact: what was recorded stays as it was,
   * and so does the digest that was kept.
   */
  readonly inputErased: ErasedAnswer | null;
}

export function proofOf(
  prediction: Prediction,
  manifest: VersionManifest,
  erased?: ErasedNote,
): PredictionProof {
  const { alias, callerId, input } = prediction;
  const outputs = outputsOf(prediction);
  const facts: RecordFacts = {
    predictionId: prediction.id,
    model: prediction.model,
    version: prediction.version,
    versionDigest: prediction.digest,
    alias: alias ?? null,
    protocol: prediction.protocol,
    status: prediction.status,
    rows: prediction.rows,
    callerId: callerId ?? null,
    tags: prediction.tags,
    createdAt: prediction.createdAt.toISOString(),
    inputDigest: input.digest,
    recipeDigest: input.recipe ?? null,
    outputsDigest: outputs ? digestOf(encodeTensorFile(outputs)) : null,
  };
  return {
    facts,
    recordDigest: factsDigest(facts),
    manifest,
    inputErased: erased ? toErasedAnswer(erased) : null,
  };
}

export function factsDigest(facts: RecordFacts): string {
  return `sha256:${createHash('sha256').update(canonicalJson(facts)).digest('hex')}`;
}

/** The outputs of a record as tensors; null for one that failed. */
export function outputsOf({ outputs }: Prediction): NamedTensors | null {
  if (!outputs) return null;
  return Object.fromEntries(
    outputs.map(({ name, dtype, shape, data = NO_BYTES }) => [name, { dtype, shape, data }]),
  );
}
