import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';

import { SEGMENT_BYTES } from '../src/artifacts/artifact';
import { type Cut, cutsFrom, planPieces } from '../src/artifacts/cut-plan';
import { type WeightDtype } from '../src/artifacts/codec/segment.codec';
import { readWeightGroups } from '../src/formats/weight-groups';

const ROOT = process.env['GRIDSTOW_FIXTURES'] ?? join(__dirname, '../../../shared/fixtures');

/** A model of the shared test material with the segments that an upload cuts its files into. */
export interface CodecCase {
  readonly name: string;
  readonly files: readonly Buffer[];
  readonly segments: readonly CaseSegment[];
}

export interface CaseSegment {
  readonly raw: Buffer;
  readonly dtype?: WeightDtype;
}

/** Every tfjs model that is at hand, by folder. */
export function codecCases(): CodecCase[] {
  if (!existsSync(ROOT)) return [];
  const folders = readdirSync(ROOT).flatMap((name) =>
    name === 'tfjs' || name === 'keras3-broken'
      ? readdirSync(join(ROOT, name)).map((model) => posix.join(name, model))
      : [name],
  );
  return folders
    .filter((name) => existsSync(join(ROOT, name, 'model.json')))
    .map((name) => readCase(name, join(ROOT, name)));
}

/** One large file of weights that is no tfjs model, cut as any other file. */
export function fileCase(name: string, path: string, dtype?: WeightDtype): CodecCase | null {
  if (!existsSync(path)) return null;
  const file = readFileSync(path);
  const segments: CaseSegment[] = [];
  for (let at = 0; at < file.length; at += SEGMENT_BYTES) {
    segments.push({ raw: file.subarray(at, at + SEGMENT_BYTES), ...(dtype && { dtype }) });
  }
  return { name, files: [file], segments };
}

function readCase(name: string, folder: string): CodecCase {
  const notes = /^(golden.*|input)\.json$/;
  const paths = readdirSync(folder).filter(
    (path) => !notes.test(path) && statSync(join(folder, path)).isFile(),
  );
  const files = new Map(paths.map((path) => [path, readFileSync(join(folder, path))]));
  const cuts = new Map<string, { readonly pieces: readonly Cut[]; readonly start: number }>();
  for (const group of readWeightGroups('model.json', files.get('model.json')!)) {
    const pieces = planPieces(group.tensors);
    let start = 0;
    for (const path of group.paths) {
      cuts.set(path, { pieces, start });
      start += files.get(path)?.length ?? 0;
    }
  }
  const segments = [...files].flatMap(([path, file]) => {
    const plan = cuts.get(path) ?? { pieces: [], start: 0 };
    return cutFile(file, plan.pieces, plan.start);
  });
  return { name, files: [...files.values()], segments };
}

function cutFile(file: Buffer, pieces: readonly Cut[], start: number): CaseSegment[] {
  const segments: CaseSegment[] = [];
  let at = 0;
  for (const { bytes, dtype } of cutsFrom(pieces, start)) {
    if (at >= file.length) break;
    segments.push({ raw: file.subarray(at, at + bytes), ...(dtype && { dtype }) });
    at += bytes;
  }
  return segments;
}
