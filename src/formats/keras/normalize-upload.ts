import { posix } from 'node:path';
import { type Readable } from 'node:stream';

import { readParts, type UploadPart } from '../../artifacts/parts/read-parts';
import { type InspectedFile } from '../artifact-format';
import { FaultLog } from '../fault-log';
import { findKeras3Marks } from '../find-keras3-marks';
import { InvalidArtifactError } from '../formats.errors';
import { parseJsonFile } from '../json-file';
import { asObject, isObject, type JsonObject } from '../json-value';
import { type KerasInput, type KerasReader } from './keras-reader';
import { KerasTooLargeError } from './keras.errors';
import { type NormalizedPart, writeModel } from './layers-files';
import { keptBytes, mendTfjs } from './mend-tfjs';

/** What an upload can be that is rewritten before TensorFlow.js loads it. */
export const NORMALIZED_FROM = ['keras-h5', 'keras-v3', 'tfjs-keras3'] as const;
export type NormalizedFrom = (typeof NORMALIZED_FROM)[number];

const CONFIG = 'config.json';
const METADATA = 'metadata.json';
const WEIGHTS = 'model.weights.h5';
const MAX_DESCRIPTION_BYTES = 32 * 1024 * 1024;
/** A model saved with assets, such as vocabularies, has a few more. */
const MAX_MEMBERS = 10_000;

/** A file of an upload that can be read again. */
export interface StoredUpload extends InspectedFile {
  /** Opens its bytes; they end only after they were checked. */
  readonly open: () => Readable;
}

export interface Normalized<T> {
  readonly from: NormalizedFrom;
  readonly warnings: readonly string[];
  readonly written: T;
}

type Write<T> = (parts: AsyncIterable<NormalizedPart>) => Promise<T>;

/** A model of Keras in an upload, as one file or unpacked. */
interface KerasSource {
  readonly path: string;
  readonly from: NormalizedFrom;
  readonly load: () => Promise<KerasInput>;
}

/**
 * Makes of an upload that TensorFlow.js cannot load as it is one that it can, and hands the files
 * of that to `write`; null for an upload that needs nothing of the kind.
 *
 * Which it is shows in the content alone. What was uploaded stays as it is.
 *
 * @throws InvalidArtifactError for a model of Keras that is damaged, or that no rewrite can mend
 * @throws KerasTooLargeError
 */
export async function normalizeUpload<T>(
  files: readonly StoredUpload[],
  reader: KerasReader,
  write: Write<T>,
): Promise<Normalized<T> | null> {
  const topology = files.find(describesTfjs);
  if (topology) return await normalizeTfjs(topology, files, write);
  const sources = files.flatMap((file) => sourceOf(file, files, reader.maxBytes) ?? []);
  const found: KerasSource[] = [];
  for (const source of sources.length > 1 ? sources : []) {
    if (await reader.read(source.load, async () => await Promise.resolve(true))) found.push(source);
  }
  if (found.length > 1) {
    throw new InvalidArtifactError(
      'The upload holds several models of Keras; an artifact is one model',
      found.map(({ path }) => ({ path, message: `one of ${found.length} models` })),
    );
  }
  const [source] = sources.length > 1 ? found : sources;
  if (!source) return null;
  return await reader.read(
    source.load,
    async ({ description, weightBytes, weights, warnings }) => ({
      from: source.from,
      warnings,
      written: await write(writeModel(description, weightBytes, weights)),
    }),
  );
}

async function normalizeTfjs<T>(
  { path, content }: StoredUpload,
  files: readonly StoredUpload[],
  write: Write<T>,
): Promise<Normalized<T> | null> {
  const { value } = parseJsonFile(content ?? new Uint8Array(0));
  const model = asObject(value);
  if (!needsMending(model)) return null;
  const { description, weightBytes, shards, spans } = mendTfjs(model, path, files);
  const byPath = new Map(files.map((file) => [file.path, file]));
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for (const shard of shards) {
      const file = byPath.get(posix.join(posix.dirname(path), shard));
      for await (const piece of file?.open() ?? []) yield piece as Uint8Array;
    }
  }
  return {
    from: 'tfjs-keras3',
    warnings: [],
    written: await write(writeModel(description, weightBytes, keptBytes(bytes(), spans))),
  };
}

/** Whatever else is wrong with a description is for the inspection to say. */
function describesTfjs({ traits, content }: StoredUpload): boolean {
  if (!content || traits?.namesTopology === false) return false;
  const text = Buffer.from(content.buffer, content.byteOffset, content.length);
  if (!text.includes('"modelTopology"')) return false;
  const { value } = parseJsonFile(content);
  return isObject(value) && isObject(value['modelTopology']);
}

function needsMending(model: JsonObject): boolean {
  const topology = asObject(model['modelTopology']);
  return (topology['node'] ?? null) === null && findKeras3Marks(topology).length > 0;
}

function sourceOf(
  file: StoredUpload,
  files: readonly StoredUpload[],
  maxBytes: number,
): KerasSource | null {
  const { path, bytes, traits } = file;
  const kind = traits?.kind ?? null;
  if (kind !== 'hdf5' && kind !== 'keras-archive') return null;
  const assertSize = (): void => {
    if (bytes > maxBytes) throw new KerasTooLargeError(path, 'The file has', bytes, maxBytes);
  };
  if (kind === 'keras-archive') {
    return { path, from: 'keras-v3', load: async () => await loadArchive(file, maxBytes) };
  }
  const beside = (name: string): Uint8Array | undefined =>
    files.find((other) => other.path === posix.join(posix.dirname(path), name))?.content;
  const config = posix.basename(path) === WEIGHTS ? beside(CONFIG) : undefined;
  const load = async (): Promise<KerasInput> => {
    assertSize();
    const hdf5 = await readAll(file.open(), bytes, path);
    return config ? { path, hdf5, config, ...versionIn(beside(METADATA)) } : { path, hdf5 };
  };
  return { path, from: config ? 'keras-v3' : 'keras-h5', load };
}

/** Unpacks an archive of Keras, whose members are checked as those of any uploaded zip. */
async function loadArchive(file: StoredUpload, maxBytes: number): Promise<KerasInput> {
  const { path } = file;
  const members = new Map<string, Uint8Array>();
  const limits = { maxBytes, maxParts: MAX_MEMBERS, maxFieldBytes: 0 };
  const parts = readParts({ contentType: 'application/zip', body: file.open() }, limits);
  for await (const part of parts) {
    if (part.path === WEIGHTS) members.set(WEIGHTS, await collect(part, maxBytes));
    if (part.path === CONFIG || part.path === METADATA) {
      members.set(part.path, await collect(part, MAX_DESCRIPTION_BYTES));
    }
  }
  const hdf5 = members.get(WEIGHTS);
  const config = members.get(CONFIG);
  if (!hdf5 || !config) {
    const faults = new FaultLog();
    faults.add(path, `an archive of Keras holds ${CONFIG} and ${WEIGHTS}`);
    faults.throwIfAny();
  }
  return {
    path,
    hdf5: hdf5 ?? new Uint8Array(0),
    config: config ?? new Uint8Array(0),
    ...versionIn(members.get(METADATA)),
  };
}

function versionIn(metadata: Uint8Array | undefined): { kerasVersion?: string } {
  if (!metadata) return {};
  const version = asObject(parseJsonFile(metadata).value)['keras_version'];
  return typeof version === 'string' ? { kerasVersion: version.slice(0, 40) } : {};
}

async function collect({ path, body }: UploadPart, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > maxBytes)
      throw new KerasTooLargeError(path, 'The member has over', maxBytes, maxBytes);
    pieces.push(piece);
  }
  return joined(pieces, bytes);
}

async function readAll(source: Readable, bytes: number, path: string): Promise<Uint8Array> {
  return await collect({ path, body: source as AsyncIterable<Uint8Array> }, bytes);
}

/** One buffer of its own: it is handed over to another thread. */
function joined(pieces: Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  // Each piece is let go of when it has been copied.
  for (let piece = pieces.shift(); piece; piece = pieces.shift()) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
