import { posix } from 'node:path';

import { checkArtifactPath } from '../../artifacts/parts/artifact-path';
import { type DType, type Signature } from '../../common/tensor';
import { type InspectedFile, type Inspection } from '../artifact-format';
import { nameFault } from '../artifact-names';
import { type FaultLog, FaultLog as Faults, quoted, quotedList } from '../fault-log';
import { FormatSyntaxError } from '../formats.errors';
import { completeSignature, type PartialSpec } from '../partial-signature';
import { OpCheck } from './check-ops';
import {
  INIT_SIGNATURE,
  readSavedModel,
  type SavedGraph,
  type SavedSignature,
} from './read-saved-model';

const ENTRY = 'saved_model.pb';
const SERVING = 'serving_default';
const VARIABLE_OPS = new Set(['VarHandleOp', 'VariableV2', 'Variable']);

/** TensorFlow's codes of the types that the engine takes, as ours; uint8 (4) it does not give. */
const DTYPES: ReadonlyMap<number, DType> = new Map([
  [1, 'float32'],
  [3, 'int32'],
  [4, 'int32'],
  [7, 'string'],
  [9, 'int32'],
  [10, 'bool'],
]);

/**
 * Inspects a TensorFlow SavedModel: the folder around the one `saved_model.pb`, wherever in the
 * upload that is. Null when there is none, or nothing but the name says that there is one.
 *
 * @throws InvalidArtifactError with every fault
 */
export function inspectSavedModel(
  files: readonly InspectedFile[],
  stated: Signature | undefined,
): Inspection | null {
  const entries = files.filter(({ path }) => posix.basename(path) === ENTRY);
  const [entry] = entries;
  if (!entry) return null;
  const faults = new Faults();
  for (const { path } of entries.length > 1 ? entries : []) {
    faults.add(path, `one of ${entries.length} files of that name; an artifact is one model`);
  }
  faults.throwIfAny();
  const root = posix.dirname(entry.path);
  const parts = files.filter(({ path }) => path.startsWith(root === '.' ? '' : `${root}/`));
  const graph = readEntry(entry, parts, root, faults);
  if (!graph) return null;
  checkVariables(graph, parts, root, faults);
  checkAssets(graph, parts, root, faults);
  const [, signature] = servedSignature(graph) ?? [];
  if (!signature) {
    const names = quotedList(
      [...graph.signatures.keys()].filter((name) => name !== INIT_SIGNATURE),
    );
    faults.add(entry.path, `none of its signatures is ${SERVING}; there are: ${names || 'none'}`);
  }
  faults.throwIfAny();
  const outputs = [...(signature?.outputs.values() ?? [])].map(({ tensor }) => tensor);
  const inputs = [...(signature?.inputs.values() ?? [])].map(({ tensor }) => tensor);
  new OpCheck(graph, entry.path, faults).run([
    { tensors: graph.restoreOp === '' ? [] : [graph.restoreOp], phase: 'restore' },
    { tensors: graph.initOps, phase: 'init' },
    { tensors: [...outputs, ...inputs], phase: 'predict' },
  ]);
  const path = `${entry.path}: ${SERVING}`;
  const completed = completeSignature(
    {
      inputs: specs(signature, 'inputs', path, faults),
      outputs: specs(signature, 'outputs', path, faults),
    },
    stated,
    faults,
  );
  faults.throwIfAny();
  return {
    format: 'tf-saved-model',
    entry: entry.path,
    ...completed,
    loadedBytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    framework: 'tensorflow',
    warnings: completed.outputsComplete
      ? []
      : ['The types and shapes of its outputs are known once it has run'],
  };
}

/** The signature that predictions go through: the usual one, or the only one. */
export function servedSignature(
  graph: SavedGraph,
): readonly [name: string, signature: SavedSignature] | undefined {
  const signatures = [...graph.signatures].filter(([name]) => name !== INIT_SIGNATURE);
  return (
    signatures.find(([name]) => name === SERVING) ??
    (signatures.length === 1 ? signatures[0] : undefined)
  );
}

/** Null for a file that only has the name, and no variables beside it that say otherwise. */
function readEntry(
  { path, content, bytes }: InspectedFile,
  parts: readonly InspectedFile[],
  root: string,
  faults: FaultLog,
): SavedGraph | null {
  if (!content) {
    faults.add(path, `cannot be read: with its ${bytes} bytes it is too large for a graph`);
    faults.throwIfAny();
    return null;
  }
  try {
    return readSavedModel(content);
  } catch (error) {
    if (!(error instanceof FormatSyntaxError)) throw error;
    if (!parts.some((part) => part.path.startsWith(posix.join(root, 'variables/')))) return null;
    faults.add(path, `is no SavedModel: ${error.message}`);
    faults.throwIfAny();
    return null;
  }
}

/** Variables stand in an index and as many shards as the shards' own names say. */
function checkVariables(
  { nodes }: SavedGraph,
  parts: readonly InspectedFile[],
  root: string,
  faults: FaultLog,
): void {
  const prefix = posix.join(root, 'variables/variables');
  const has = (path: string): boolean => parts.some((part) => part.path === path);
  const shards = parts.flatMap(({ path }) => {
    const match = path.startsWith(`${prefix}.data-`) ? /-(\d{5})-of-(\d{5})$/.exec(path) : null;
    return match ? [{ index: Number(match[1]), count: Number(match[2]) }] : [];
  });
  const needed = nodes.some(({ op }) => VARIABLE_OPS.has(op));
  if (!needed && shards.length === 0) return;
  if (!has(`${prefix}.index`)) {
    faults.add(`${prefix}.index`, 'the graph has variables, and this file was not uploaded');
  }
  const count = Math.min(shards[0]?.count ?? 1, 10_000);
  for (let index = 0; index < count; index++) {
    const digits = (value: number): string => String(value).padStart(5, '0');
    const path = `${prefix}.data-${digits(index)}-of-${digits(count)}`;
    if (!has(path)) faults.add(path, 'the graph has variables, and this file was not uploaded');
  }
}

function checkAssets(
  { assets }: SavedGraph,
  parts: readonly InspectedFile[],
  root: string,
  faults: FaultLog,
): void {
  for (const { filename } of assets) {
    const checked = checkArtifactPath(filename);
    if (checked.fault !== undefined || checked.path !== filename) {
      faults.add(ENTRY, `the asset ${quoted(filename)} is no path inside the model`);
    } else if (!parts.some(({ path }) => path === posix.join(root, 'assets', filename))) {
      faults.add(posix.join(root, 'assets', filename), 'this asset was not uploaded');
    }
  }
}

function specs(
  signature: SavedSignature | undefined,
  side: keyof SavedSignature,
  path: string,
  faults: FaultLog,
): PartialSpec[] {
  return [...(signature?.[side] ?? [])]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { tensor, dtype, shape }]) => {
      const at = `${path}.${side}.${name}`;
      const fault = nameFault(name);
      if (fault !== undefined) faults.add(path, fault);
      if (tensor === '')
        faults.add(at, 'is not one dense tensor, the only kind that can be served');
      if (!DTYPES.has(dtype) || (side === 'outputs' && dtype === UINT8)) {
        faults.add(at, `is of TensorFlow's type ${dtype}; ${KNOWN_TYPES[side]}`);
      }
      return { name, dtype: DTYPES.get(dtype), shape: shape ?? undefined, path: at };
    });
}

const UINT8 = 4;
const KNOWN_TYPES = {
  inputs: 'the engine takes float32, int32, int64, uint8, bool and string',
  outputs: 'the engine gives float32, int32, int64, bool and string',
};
