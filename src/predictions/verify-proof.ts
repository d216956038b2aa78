import { canonicalJson } from '../common/canonical-json';
import { recipeDigest } from '../features/recipe';
import { manifestDigest } from '../models/version-manifest';
import { digestOf } from './prediction-input';
import { factsDigest, type PredictionProof } from './prediction-proof';

/** What is at hand to check a proof against; what is missing is left unchecked and said so. */
export interface Evidence {
  /** The digest that was kept since the prediction was made. */
  readonly recordDigest?: string;
  /** The record as `GET /api/predictions/{id}` or a line of an export gives it. */
  readonly record?: Readonly<Record<string, unknown>>;
  /** SHA-256 (hex) and length of each file of the downloaded version, by path. */
  readonly files?: ReadonlyMap<string, { readonly sha256: string; readonly bytes: number }>;
  readonly input?: Uint8Array;
  readonly outputs?: Uint8Array;
}

export type Finding = 'ok' | 'wrong' | 'unchecked';

export interface Check {
  readonly what: string;
  readonly finding: Finding;
  readonly detail: string;
}

/** Checks everything that a proof says against the evidence, in the order in which it builds up. */
export function verifyProof(
  { facts, recordDigest, manifest, inputErased }: PredictionProof,
  evidence: Evidence,
): Check[] {
  const checks: Check[] = [];
  const check = (what: string, expected: string, actual: string | undefined): void => {
    if (actual === undefined) checks.push({ what, finding: 'unchecked', detail: 'not given' });
    else if (actual === expected) checks.push({ what, finding: 'ok', detail: expected });
    else checks.push({ what, finding: 'wrong', detail: `${actual}, not ${expected}` });
  };
  check('the facts have the digest of the proof', recordDigest, factsDigest(facts));
  check('the proof has the digest that was kept', recordDigest, evidence.recordDigest);
  check(
    'the manifest has the digest of the version',
    facts.versionDigest,
    manifestDigest(manifest),
  );
  for (const { path, bytes, sha256 } of manifest.files) {
    const file = evidence.files?.get(path);
    const missing = evidence.files ? 'missing' : undefined;
    check(
      `file ${path} is the one in the manifest`,
      `${sha256} (${bytes} bytes)`,
      file ? `${file.sha256} (${file.bytes} bytes)` : missing,
    );
  }
  if (facts.recipeDigest !== null) {
    const { recipe } = manifest;
    check(
      'the recipe has the digest in the record',
      facts.recipeDigest,
      recipe ? recipeDigest(recipe as Parameters<typeof recipeDigest>[0]) : undefined,
    );
  }
  const aboutInput = 'the input has the digest in the record';
  // Whoever kept a copy can still check it.
  if (evidence.input) check(aboutInput, facts.inputDigest, digestOf(evidence.input));
  else {
    const detail = inputErased ? `erased at ${inputErased.at}` : 'not given';
    checks.push({ what: aboutInput, finding: 'unchecked', detail });
  }
  if (facts.outputsDigest !== null) {
    check(
      'the outputs have the digest in the record',
      facts.outputsDigest,
      evidence.outputs && digestOf(evidence.outputs),
    );
  }
  if (evidence.record) checks.push(...compareRecord(facts, evidence.record));
  else checks.push({ what: 'the record says the same', finding: 'unchecked', detail: 'not given' });
  return checks;
}

/** The fields of a record that a proof repeats. */
function compareRecord(
  facts: PredictionProof['facts'],
  record: Readonly<Record<string, unknown>>,
): Check[] {
  const input = record['input'] as { readonly digest?: unknown; readonly recipe?: unknown } | null;
  const claimed: Readonly<Record<string, unknown>> = {
    predictionId: record['predictionId'],
    model: record['model'],
    version: record['version'],
    versionDigest: record['digest'],
    alias: record['alias'] ?? null,
    protocol: record['protocol'],
    status: record['status'],
    rows: record['rows'],
    callerId: record['callerId'] ?? null,
    tags: record['tags'],
    createdAt: record['createdAt'],
    inputDigest: input?.digest,
    recipeDigest: input?.recipe ?? null,
  };
  const wrong = Object.entries(claimed).filter(
    ([name, value]) =>
      canonicalJson(value ?? null) !== canonicalJson(facts[name as keyof typeof facts]),
  );
  if (wrong.length === 0) {
    return [{ what: 'the record says the same', finding: 'ok', detail: facts.predictionId }];
  }
  return wrong.map(([name, value]) => ({
    what: `the record says the same of ${name}`,
    finding: 'wrong',
    detail: `${canonicalJson(value ?? null)}, not ${canonicalJson(facts[name as keyof typeof facts])}`,
  }));
}
