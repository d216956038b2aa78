import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { parseArgs } from 'node:util';

import { extract } from 'tar-stream';

import { type PredictionProof } from '../src/predictions/prediction-proof';
import { type Evidence, verifyProof } from '../src/predictions/verify-proof';

const USAGE = `usage: npm run verify-record -- --proof proof.json
  [--digest sha256:…]      the recordDigest that was kept since
  [--record record.json]   the record, or an export (NDJSON) that it stands in
  [--version digits-1.tar] the downloaded version: its archive, or a folder with its files
  [--input input.bin]      what GET /api/predictions/{id}/input gave
  [--outputs outputs.bin]  what GET /api/predictions/{id}/outputs gave`;

type Files = NonNullable<Evidence['files']>;

const MARKS = { ok: 'ok       ', wrong: 'WRONG    ', unchecked: 'unchecked' } as const;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      proof: { type: 'string' },
      digest: { type: 'string' },
      record: { type: 'string' },
      version: { type: 'string' },
      input: { type: 'string' },
      outputs: { type: 'string' },
    },
  });
  if (values.proof === undefined) throw new TypeError(USAGE);
  const proof = JSON.parse(readFileSync(values.proof, 'utf8')) as PredictionProof;
  const record =
    values.record === undefined ? undefined : findRecord(values.record, proof.facts.predictionId);
  const checks = verifyProof(proof, {
    ...(values.digest === undefined ? {} : { recordDigest: values.digest }),
    ...(record ? { record } : {}),
    ...(values.version === undefined ? {} : { files: await hashFiles(values.version) }),
    ...(values.input === undefined ? {} : { input: readFileSync(values.input) }),
    ...(values.outputs === undefined ? {} : { outputs: readFileSync(values.outputs) }),
  });
  for (const { what, finding, detail } of checks) {
    console.log(`${MARKS[finding]}  ${what}  ${detail}`);
  }
  const count = (finding: keyof typeof MARKS): number =>
    checks.filter((check) => check.finding === finding).length;
  console.log(`${count('ok')} ok, ${count('wrong')} wrong, ${count('unchecked')} unchecked`);
  if (count('wrong') > 0) process.exitCode = 1;
}

/** A file with one record, or with one on each line. */
function findRecord(path: string, predictionId: string): Readonly<Record<string, unknown>> {
  const text = readFileSync(path, 'utf8');
  const records = text.trim().includes('\n')
    ? text
        .split('\n')
        .filter((line) => line.includes(predictionId))
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    : [JSON.parse(text) as Record<string, unknown>];
  const record = records.find((one) => one['predictionId'] === predictionId);
  if (!record) throw new TypeError(`${path} has no record ${predictionId}`);
  return record;
}

async function hashFiles(path: string): Promise<Files> {
  return (await stat(path)).isDirectory() ? await hashFolder(path) : await hashArchive(path);
}

async function hashFolder(folder: string): Promise<Files> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = new Map<string, { sha256: string; bytes: number }>();
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(relative(folder, path).split(sep).join('/'), await hash(createReadStream(path)));
  }
  return files;
}

async function hashArchive(path: string): Promise<Files> {
  const files = new Map<string, { sha256: string; bytes: number }>();
  for await (const member of createReadStream(path).pipe(extract())) {
    files.set(member.header.name, await hash(member as AsyncIterable<Uint8Array>));
  }
  return files;
}

async function hash(
  pieces: AsyncIterable<Uint8Array>,
): Promise<{ readonly sha256: string; readonly bytes: number }> {
  const digest = createHash('sha256');
  let bytes = 0;
  for await (const piece of pieces) {
    digest.update(piece);
    bytes += piece.length;
  }
  return { sha256: digest.digest('hex'), bytes };
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
});
