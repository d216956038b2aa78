import { FormatSyntaxError } from '../formats.errors';
import {
  mapOf,
  messageOf,
  messagesOf,
  numberOf,
  protoFields,
  textOf,
  textsOf,
} from './proto-reader';

/** Nodes of the graph, functions and their nodes together; large models have some ten thousand. */
const MAX_NODES = 200_000;

/** How deep functions may be given to functions as their attributes. */
const MAX_ATTRIBUTE_DEPTH = 8;

export interface SavedNode {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  /** Functions of the library that its attributes name, and the attributes of those. */
  readonly functions: readonly string[];
  /** Whether an attribute is yet to be filled in by whoever calls the function around it. */
  readonly hasPlaceholder: boolean;
}

export interface SavedFunction {
  readonly name: string;
  readonly args: readonly string[];
  /** Whether an argument stands for several tensors, so that places and arguments differ. */
  readonly hasLists: boolean;
  /** What it is an implementation of: TensorFlow may run any other one of the same in its place. */
  readonly implements: string;
  readonly nodes: readonly SavedNode[];
}

/** A tensor of a signature, as the file has it. */
export interface SavedTensor {
  /** Node and output, e.g. `serving_default_x:0`; empty for what is not one dense tensor. */
  readonly tensor: string;
  /** TensorFlow's code of the type. */
  readonly dtype: number;
  /** Null where not even the rank is known. */
  readonly shape: readonly number[] | null;
}

export interface SavedSignature {
  readonly inputs: ReadonlyMap<string, SavedTensor>;
  readonly outputs: ReadonlyMap<string, SavedTensor>;
}

export interface SavedAsset {
  readonly tensor: string;
  readonly filename: string;
}

/** The part of a `saved_model.pb` that serving needs: one graph with its signatures and functions. */
export interface SavedGraph {
  readonly tags: readonly string[];
  readonly nodes: readonly SavedNode[];
  readonly functions: ReadonlyMap<string, SavedFunction>;
  readonly signatures: ReadonlyMap<string, SavedSignature>;
  readonly assets: readonly SavedAsset[];
  readonly restoreOp: string;
  /** The tensor that takes the path of the variables when they are restored. */
  readonly filenameTensor: string;
  /** Nodes that run once after the variables are there. */
  readonly initOps: readonly string[];
}

/** The signature that TensorFlow itself keeps its initialisation in. */
export const INIT_SIGNATURE = '__saved_model_init_op';
/** Where releases before signatures kept it. */
const INIT_COLLECTIONS = ['saved_model_main_op', 'legacy_init_op'];
const SERVING_TAG = 'serve';

/**
 * Reads the graph for serving out of the bytes of a `saved_model.pb`.
 *
 * @throws FormatSyntaxError when they are something else, or larger than any model
 */
export function readSavedModel(bytes: Uint8Array): SavedGraph {
  const graphs = messagesOf(bytes, 2);
  const tagged = graphs.map((graph) => ({ graph, tags: new Set(textsOf(messageOf(graph, 1), 4)) }));
  // Which of them a loader takes: the first with this very set of tags.
  const found =
    tagged.find(({ tags }) => tags.size === 1 && tags.has(SERVING_TAG)) ??
    tagged.find(({ tags }) => tags.has(SERVING_TAG)) ??
    (tagged.length === 1 ? tagged[0] : undefined);
  if (!found) {
    throw new FormatSyntaxError(
      graphs.length === 0
        ? 'it holds no graph'
        : 'none of its graphs is tagged serve, which is the one for predictions',
    );
  }
  return readMetaGraph(found.graph, [...found.tags]);
}

function readMetaGraph(meta: Uint8Array, tags: readonly string[]): SavedGraph {
  const graph = messageOf(meta, 2);
  const saver = messageOf(meta, 3);
  const allowance = { left: MAX_NODES };
  const signatures = new Map(
    [...mapOf(meta, 5)].map(([name, bytes]) => [name, readSignature(bytes)] as const),
  );
  const collections = mapOf(meta, 4);
  return {
    tags,
    nodes: readNodes(graph, 1, allowance),
    functions: readFunctions(messageOf(graph, 2), allowance),
    signatures,
    assets: messagesOf(meta, 6).map((bytes) => ({
      tensor: textOf(messageOf(bytes, 1), 1),
      filename: textOf(bytes, 2),
    })),
    restoreOp: textOf(saver, 3),
    filenameTensor: textOf(saver, 1),
    initOps: [
      ...[...(signatures.get(INIT_SIGNATURE)?.outputs.values() ?? [])].map(({ tensor }) => tensor),
      ...INIT_COLLECTIONS.flatMap((name) =>
        textsOf(messageOf(collections.get(name) ?? new Uint8Array(0), 1), 1),
      ),
    ],
  };
}

function readSignature(bytes: Uint8Array): SavedSignature {
  const read = (field: number): Map<string, SavedTensor> =>
    new Map([...mapOf(bytes, field)].map(([name, info]) => [name, readTensor(info)] as const));
  return { inputs: read(1), outputs: read(2) };
}

function readTensor(info: Uint8Array): SavedTensor {
  const shape = messageOf(info, 3);
  const isUnknown = numberOf(shape, 3) === 1 || messagesOf(info, 3).length === 0;
  return {
    tensor: textOf(info, 1),
    dtype: numberOf(info, 2),
    shape: isUnknown ? null : messagesOf(shape, 2).map((dimension) => numberOf(dimension, 1)),
  };
}

function readFunctions(
  library: Uint8Array,
  allowance: { left: number },
): Map<string, SavedFunction> {
  const functions = new Map<string, SavedFunction>();
  for (const bytes of messagesOf(library, 1)) {
    take(allowance);
    const read = readFunction(bytes, allowance);
    if (functions.has(read.name)) throw new FormatSyntaxError('two of its functions have one name');
    functions.set(read.name, read);
  }
  return functions;
}

function readFunction(bytes: Uint8Array, allowance: { left: number }): SavedFunction {
  const signature = messageOf(bytes, 1);
  const args = messagesOf(signature, 2);
  return {
    name: textOf(signature, 1),
    args: args.map((arg) => textOf(arg, 1)),
    hasLists: args.some((arg) => textOf(arg, 5) !== '' || textOf(arg, 6) !== ''),
    implements: textOf(mapOf(bytes, 5).get('api_implements') ?? new Uint8Array(0), 2),
    nodes: readNodes(bytes, 3, allowance),
  };
}

function readNodes(bytes: Uint8Array, field: number, allowance: { left: number }): SavedNode[] {
  return messagesOf(bytes, field).map((node) => {
    take(allowance);
    return readNode(node);
  });
}

function take(allowance: { left: number }): void {
  if (allowance.left-- <= 0) throw new FormatSyntaxError(`it has more than ${MAX_NODES} nodes`);
}

function readNode(bytes: Uint8Array): SavedNode {
  const named: Named = { functions: [], hasPlaceholder: false };
  readAttributes(bytes, 5, named, 0);
  return {
    name: textOf(bytes, 1),
    op: textOf(bytes, 2),
    inputs: textsOf(bytes, 3),
    ...named,
  };
}

interface Named {
  readonly functions: string[];
  hasPlaceholder: boolean;
}

/** Collects what attributes refer to: functions, alone or in lists, each with attributes of its own. */
function readAttributes(bytes: Uint8Array, map: number, named: Named, depth: number): void {
  if (depth > MAX_ATTRIBUTE_DEPTH) {
    throw new FormatSyntaxError('its functions are given functions too deeply');
  }
  const take = (called: Uint8Array): void => {
    named.functions.push(textOf(called, 1));
    readAttributes(called, 2, named, depth + 1);
  };
  for (const value of messagesOf(bytes, map).flatMap((entry) => messagesOf(entry, 2))) {
    for (const { field, bytes: content } of protoFields(value)) {
      if (!content) continue;
      if (field === 9) named.hasPlaceholder = true;
      if (field === 10) take(content);
      if (field === 1) messagesOf(content, 9).forEach(take);
    }
  }
}
