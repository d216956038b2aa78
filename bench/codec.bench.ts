import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { compress, Compressor, Decompressor } from 'zstd-napi';

import { decodeSegment } from '../src/artifacts/codec/segment-decoder';
import { encodeSegment } from '../src/artifacts/codec/segment-encoder';
import { alternate, type Contender, type Sample } from './alternate';
import { type Bench } from './bench';
import { fixtureModel, mebibytes, type ModelFiles } from './bench-models';
import { type CaseSegment, type CodecCase, codecCases, fileCase } from './codec-cases';
import { type Result } from './report';
import { upload, uploadBody } from './service-client';

const SPEED_CASES = [
  'tfjs/big-mlp-v1',
  'nsfw-inception-v3',
  'nsfw-mobilenet-v2',
  'hm-movenet-lightning',
];
const DELTA = { model: 'tfjs/big-mlp-v2', base: 'tfjs/big-mlp-v1' };

/** The default level of the library. */
const ZSTD_LEVEL = 3;

/** How small do weights get, and how fast, beside zstd and ZipNN, on one thread? */
export const benchCodec: Bench = async (service, { rounds }) => {
  const cases = codecCases();
  const minilm = process.env['GRIDSTOW_MINILM'];
  const large = minilm ? fileCase('MiniLM-L6-v2', minilm, 'float32') : null;
  if (large) cases.push(large);
  else console.log('bench: left out MiniLM (GRIDSTOW_MINILM names its model.safetensors)');
  if (cases.length === 0) console.log('bench: left out codec, no fixtures (GRIDSTOW_FIXTURES)');

  const results: Result[] = [];
  const zipnn = zipnnSizes(cases);
  for (const [index, one] of cases.entries()) {
    results.push(await ratios(one, zipnn?.[index] ?? null));
  }
  const delta = await deltaRatio(cases);
  if (delta) results.push(delta);
  const added = await addedRatios(service.url);
  if (added) results.push(added);
  const timed = cases.filter((one) => SPEED_CASES.includes(one.name) || one === large);
  const together = { name: 'all of them', segments: timed.flatMap(({ segments }) => segments) };
  for (const one of timed.length > 1 ? [...timed, together] : timed) {
    results.push(await speed(one, 'encode', rounds), await speed(one, 'decode', rounds));
  }
  return results;
};

async function ratios(one: CodecCase, zipnnBytes: number | null): Promise<Result> {
  const raw = total(one.files);
  const ours = total(one.segments.map((segment) => encode(segment)));
  const zstd = total(one.files.map((file) => compress(file, { compressionLevel: ZSTD_LEVEL })));
  const contenders: Contender[] = [
    figure('segments as an upload stores them', 'ours', raw / ours),
    figure('zstd -3, a frame per file', 'peer', raw / zstd),
  ];
  if (zipnnBytes !== null)
    contenders.push(figure('ZipNN, the best of its types', 'peer', raw / zipnnBytes));
  const standing = await alternate(contenders, 1);
  const question = `Raw bytes per stored byte: ${one.name}, ${raw} bytes`;
  return { question, unit: 'ratio', rounds: 1, ...standing, notes: [] };
}

async function deltaRatio(cases: readonly CodecCase[]): Promise<Result | null> {
  const model = cases.find(({ name }) => name === DELTA.model);
  const base = cases.find(({ name }) => name === DELTA.base);
  if (!model || !base) return null;
  const stored = model.segments.map((segment, index) => {
    const before = base.segments[index]?.raw;
    if (before?.equals(segment.raw)) return new Uint8Array();
    const alone = encode(segment);
    if (before?.length !== segment.raw.length) return alone;
    const { dtype, raw } = segment;
    const difference = encodeSegment(raw, { base: before, ...(dtype && { dtype }) });
    return difference.length < 0.9 * alone.length ? difference : alone;
  });
  const raw = total(model.files);
  const zstd = total(model.files.map((file) => compress(file, { compressionLevel: ZSTD_LEVEL })));
  const standing = await alternate(
    [
      figure('differences to the version before', 'ours', raw / total(stored)),
      figure('zstd -3, a frame per file', 'peer', raw / zstd),
    ],
    1,
  );
  const question = `Raw bytes per added byte: ${DELTA.model} after ${DELTA.base}`;
  return { question, unit: 'ratio', rounds: 1, ...standing, notes: [] };
}

/** What versions of one model cost beside the ones before them, as the service says. */
async function addedRatios(url: string): Promise<Result | null> {
  const base = fixtureModel(DELTA.base);
  const model = fixtureModel(DELTA.model);
  if (!base || !model) return null;
  const figures: Contender[] = [];
  for (const [name, files] of [
    ['the first version', base],
    ['the next, trained further: 62 % of its weights are others', model],
    ['the one after, with another last layer', withOtherHead(model)],
  ] as const) {
    const version = await upload(url, 'added', await uploadBody(files));
    const answer = await fetch(`${url}/api/models/added/versions/${version}`);
    const { rawBytes, addedBytes } = (await answer.json()) as Record<string, number>;
    figures.push(figure(name, 'ours', (rawBytes ?? NaN) / (addedBytes ?? NaN)));
  }
  const { figures: measured } = await alternate(figures, 1);
  return {
    question: 'Raw bytes per added byte: three versions of a model, uploaded one after the other',
    unit: 'ratio',
    rounds: 1,
    figures: measured,
    comparisons: [],
    notes: [],
  };
}

/** The same model with its last kernel and bias a thousandth larger, as a little training leaves them. */
function withOtherHead(files: ModelFiles): ModelFiles {
  const { weightsManifest } = JSON.parse(files['model.json']!.toString()) as {
    weightsManifest: { paths: string[]; weights: { shape: number[] }[] }[];
  };
  const group = weightsManifest.at(-1)!;
  const head = group.weights
    .slice(-2)
    .reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  const whole = Buffer.concat(group.paths.map((path) => files[path]!));
  for (let at = whole.length - head; at < whole.length; at += 4) {
    whole.writeFloatLE(whole.readFloatLE(at) * 1.001, at);
  }
  let at = 0;
  const shards = group.paths.map((path) => {
    const { length } = files[path]!;
    at += length;
    return [path, whole.subarray(at - length, at)] as const;
  });
  return { ...files, ...Object.fromEntries(shards) };
}

async function speed(
  one: Pick<CodecCase, 'name' | 'segments'>,
  way: 'encode' | 'decode',
  rounds: number,
): Promise<Result> {
  const weights = one.segments.filter(({ dtype }) => dtype !== undefined);
  const raws = weights.map(({ raw }) => raw);
  const size = mebibytes(total(raws));
  const compressor = new Compressor();
  const decompressor = new Decompressor();
  const target = new Uint8Array(Math.max(...raws.map(({ length }) => length)));
  const ours = weights.map((segment) => encode(segment));
  const theirs = raws.map((raw) => compressor.compress(raw));
  const encoding = {
    ours: (index: number) => encode(weights[index]!),
    zstd: (index: number) => compressor.compress(raws[index]!),
  };
  const decoding = {
    ours: (index: number) => {
      decodeSegment(ours[index]!, target.subarray(0, raws[index]!.length));
    },
    zstd: (index: number) => decompressor.decompress(theirs[index]!),
  };
  const work = way === 'encode' ? encoding : decoding;
  const measure = (each: (index: number) => unknown): (() => Promise<Sample>) => {
    return async () => {
      const start = performance.now();
      for (let index = 0; index < raws.length; index++) each(index);
      return await Promise.resolve({ perSecond: size / ((performance.now() - start) / 1000) });
    };
  };
  const standing = await alternate(
    [
      { name: `codec, ${way}`, role: 'ours', run: measure(work.ours) },
      { name: `zstd-napi, its defaults, ${way}`, role: 'peer', run: measure(work.zstd) },
      {
        name: 'memory copied',
        role: 'floor',
        run: measure((index) => {
          target.set(raws[index]!);
        }),
      },
    ],
    rounds,
  );
  const question = `To ${way} ${size.toFixed(1)} MiB of weights: ${one.name}`;
  return { question, unit: 'MiB/s of raw bytes', rounds, ...standing, notes: [NOTE] };
}

const NOTE = 'One thread; the same segments for both.';

function encode({ raw, dtype }: CaseSegment): Uint8Array {
  return encodeSegment(raw, dtype ? { dtype } : {});
}

function figure(name: string, role: Contender['role'], ratio: number): Contender {
  return { name, role, run: async () => await Promise.resolve({ perSecond: ratio }) };
}

/** What ZipNN makes of each case, or null where the Python of GRIDSTOW_ZIPNN_PYTHON lacks it. */
function zipnnSizes(cases: readonly CodecCase[]): (number | null)[] | null {
  const folder = mkdtempSync(join(tmpdir(), 'gridstow-zipnn-'));
  try {
    const paths = cases.flatMap(({ files }, index) =>
      files.map((file, part) => {
        const path = join(folder, `${index}-${part}`);
        writeFileSync(path, file);
        return path;
      }),
    );
    const python = process.env['GRIDSTOW_ZIPNN_PYTHON'] ?? 'python3';
    const script = join(__dirname, '../../bench/zipnn-sizes.py');
    const stdio: ['pipe', 'pipe', 'ignore'] = ['pipe', 'pipe', 'ignore'];
    const printed = execFileSync(python, [script], { input: paths.join('\n'), stdio }).toString();
    const sizes = printed
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as number | null);
    return cases.map(({ files }) => {
      const parts = sizes.splice(0, files.length);
      // What it cannot take is kept as it is: that is what its users would do.
      return parts.reduce<number>((sum, size, part) => sum + (size ?? files[part]!.length), 0);
    });
  } catch {
    console.log('bench: left out ZipNN (GRIDSTOW_ZIPNN_PYTHON names a Python that has zipnn)');
    return null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function total(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}
