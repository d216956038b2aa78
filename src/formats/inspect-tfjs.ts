import { type Signature } from '../common/tensor';
import { type InspectedFile, type Inspection } from './artifact-format';
import { FaultLog } from './fault-log';
import { UnrecognisedArtifactError } from './formats.errors';
import { inspectGraph } from './inspect-graph';
import { inspectLayers } from './inspect-layers';
import { MAX_JSON_BYTES, type ParsedJson, parseJsonFile } from './json-file';
import { asArray, asObject, isObject, type JsonObject } from './json-value';
import { completeSignature, type PartialSignature } from './partial-signature';
import { checkWeightsManifest } from './weights-manifest';

interface JsonFile {
  readonly path: string;
  readonly parsed: ParsedJson;
}

/**
 * Inspects a model of TensorFlow.js: the one JSON file with a `modelTopology`, and the shards that
 * its weights manifest names, which are found relative to its folder. Null when there is no such
 * file.
 *
 * @throws InvalidArtifactError with every fault; UnrecognisedArtifactError for weights alone
 */
export function inspectTfjs(
  files: readonly InspectedFile[],
  stated: Signature | undefined,
): Inspection | null {
  const jsons = files.filter(mayDescribe).map(readJson);
  const models = jsons.filter(({ parsed }) => isModel(parsed.value));
  const faults = new FaultLog();
  // Something that cannot be read may be the model: that deserves more words than "not recognised".
  for (const { path, parsed } of jsons) {
    if (parsed.fault !== undefined) faults.add(path, parsed.fault);
  }
  faults.throwIfAny();
  const [model] = models;
  if (!model) {
    refuseWeightsAlone(jsons);
    return null;
  }
  for (const { path } of models.length > 1 ? models : []) {
    faults.add(
      path,
      `one of ${models.length} files with a modelTopology; an artifact is one model`,
    );
  }
  faults.throwIfAny();
  return inspectModel(asObject(model.parsed.value), model.path, files, stated, faults);
}

function inspectModel(
  model: JsonObject,
  entry: string,
  files: readonly InspectedFile[],
  stated: Signature | undefined,
  faults: FaultLog,
): Inspection {
  const manifest = checkWeightsManifest(model['weightsManifest'], entry, files, faults);
  const weights = faults.size === 0 ? manifest.weights : null;
  const topology = asObject(model['modelTopology']);
  const isGraph = (topology['node'] ?? null) !== null;
  checkStatedFormat(model['format'], isGraph, entry, faults);

  const warnings: string[] = [];
  const partial = isGraph
    ? inspectGraph(model, weights, entry, warnings, faults)
    : inspectLayers(topology, weights, entry, faults);
  const completed = completeSignature(
    partial ?? NOTHING_KNOWN,
    partial ? stated : undefined,
    faults,
  );
  faults.throwIfAny();
  return {
    format: isGraph ? 'tfjs-graph' : 'tfjs-layers',
    entry,
    ...completed,
    loadedBytes: manifest.loadedBytes,
    warnings,
  };
}

const NOTHING_KNOWN: PartialSignature = { inputs: [], outputs: [] };

/** `format` may be missing, as in files of early converters; then the topology alone tells. */
function checkStatedFormat(
  format: unknown,
  isGraph: boolean,
  entry: string,
  faults: FaultLog,
): void {
  const found = isGraph ? 'graph-model' : 'layers-model';
  if (format === undefined || format === null || format === found) return;
  faults.add(`${entry}: format`, `says otherwise, but the topology is that of a ${found}`);
}

/** Parsing is for files that can be the description, not for every table that comes with a model. */
function mayDescribe({ path, content, traits }: InspectedFile): boolean {
  const isNamedSo = /(?:^|\/)model\.json$/.test(path);
  if (!content) {
    // JSON that was too large to keep; of any other file the content is never kept.
    const isOther = !/\.json$/i.test(path) || (traits?.kind ?? null) !== null;
    return !isOther && (isNamedSo || traits?.namesTopology === true);
  }
  if (isNamedSo) return true;
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.length);
  return bytes.includes('"modelTopology"') || bytes.includes('"paths"');
}

function readJson({ path, bytes, content }: InspectedFile): JsonFile {
  if (content) return { path, parsed: parseJsonFile(content) };
  const fault =
    bytes > MAX_JSON_BYTES
      ? `is larger than ${MAX_JSON_BYTES} bytes`
      : `cannot be read: together with the descriptions before it, it is larger than ${MAX_JSON_BYTES} bytes`;
  return { path, parsed: { fault } };
}

function isModel(value: unknown): boolean {
  return isObject(value) && Object.hasOwn(value, 'modelTopology');
}

function refuseWeightsAlone(jsons: readonly JsonFile[]): void {
  const manifest = jsons.find(({ parsed }) => {
    const { value } = parsed;
    const [group] = asArray(isObject(value) ? value['weightsManifest'] : value);
    return isObject(group) && 'paths' in group && 'weights' in group;
  });
  if (!manifest) return;
  throw new UnrecognisedArtifactError(
    `${manifest.path} lists weights, and there is no topology that says what to compute with them; upload the model.json that belongs to them, or set format to opaque in the metadata to store the files as they are`,
    [{ path: manifest.path, message: 'a weights manifest without a modelTopology' }],
  );
}
