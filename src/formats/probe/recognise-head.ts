import { type FileKind } from './file-kind';

const HDF5 = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
/** HDF5 lets other bytes come first, up to the next power of two. */
const HDF5_OFFSETS = [0, 512, 1024, 2048, 4096, 8192, 16_384, 32_768];
const MAX_SAFETENSORS_HEADER = 100 * 1024 * 1024;
const GGUF_VERSIONS = 10;
const ONNX_FIELDS = new Set([1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26]);

type Test = (head: Uint8Array, bytes: number) => boolean;

/** By the beginning of a file alone; archives and pickles are looked at more closely elsewhere. */
const TESTS: readonly (readonly [FileKind, Test])[] = [
  ['hdf5', (head) => HDF5_OFFSETS.some((at) => startsWith(head.subarray(at), HDF5))],
  ['tflite', (head) => textAt(head, 4, 'TFL3')],
  ['gguf', (head) => textAt(head, 0, 'GGUF') && isVersion(uint32(head, 4))],
  ['catboost', (head) => textAt(head, 0, 'CBM1')],
  ['safetensors', isSafetensors],
  ['lightgbm', (head) => /^tree\r?\nversion=v\d/.test(text(head, 64))],
  ['pmml', (head) => head.includes(0x3c) && /<(?:\w+:)?PMML[\s>]/.test(text(head, 8192))],
  ['xgboost', isXgboost],
  ['onnx', isOnnx],
];

export function recogniseHead(head: Uint8Array, bytes: number): FileKind | null {
  return TESTS.find(([, test]) => test(head, bytes))?.[0] ?? null;
}

function isVersion(value: number | null): boolean {
  return value !== null && value >= 1 && value <= GGUF_VERSIONS;
}

/** A length, then a JSON object of that length in which each tensor has its place. */
function isSafetensors(head: Uint8Array, bytes: number): boolean {
  if (head.length < 10) return false;
  const length = Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true));
  if (length < 2 || length > MAX_SAFETENSORS_HEADER || length + 8 > bytes) return false;
  const header = text(head.subarray(8), Math.min(length, head.length));
  if (!header.startsWith('{')) return false;
  return /^\{\s*\}\s*$/.test(header) || /"(?:data_offsets|__metadata__)"\s*:/.test(header);
}

function isXgboost(head: Uint8Array): boolean {
  // Universal Binary JSON: an object whose first key, behind its length, is the learner.
  if (head[0] === 0x7b && head[1] === 0x4c && textAt(head, 10, 'learner')) return true;
  const start = text(head, head.length).trimStart();
  return (
    start.startsWith('{') &&
    start.includes('"learner"') &&
    /"(?:gradient_booster|learner_model_param|feature_names)"/.test(start)
  );
}

/** The outermost message: a small version number, and a graph. */
export function isOnnx(head: Uint8Array, bytes: number): boolean {
  // The runtime would take these marks for a format of its own, which nobody has looked into.
  if (textAt(head, 4, 'ORTM')) return false;
  let at = 0;
  let hasVersion = false;
  while (at < head.length) {
    const tag = varint(head, at);
    if (!tag) return false;
    const field = Math.floor(tag.value / 8);
    const wire = tag.value % 8;
    if (!ONNX_FIELDS.has(field) || (wire !== 0 && wire !== 2)) return false;
    const value = varint(head, tag.next);
    if (!value) return false;
    at = value.next;
    if (field === 1 || field === 5) {
      if (wire !== 0) return false;
      hasVersion ||= field === 1 && value.value >= 1 && value.value <= 100;
      continue;
    }
    if (wire !== 2) return false;
    // A graph that is cut short is one all the same: whoever sent it wants to know.
    if (field === 7) return hasVersion && isOnnxGraph(head, value.next, value.value);
    if (value.next + value.value > bytes) return false;
    at += value.value;
  }
  return false;
}

/** A graph starts with a node, its name, or a tensor. */
function isOnnxGraph(head: Uint8Array, at: number, length: number): boolean {
  return length > 0 && at < head.length && [0x0a, 0x12, 0x2a].includes(head[at] ?? 0);
}

function varint(bytes: Uint8Array, from: number): { value: number; next: number } | null {
  let value = 0;
  for (let index = 0; index < 8; index++) {
    const byte = bytes[from + index];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, next: from + index + 1 };
  }
  return null;
}

function startsWith(bytes: Uint8Array, expected: readonly number[]): boolean {
  return expected.every((byte, index) => bytes[index] === byte);
}

function textAt(bytes: Uint8Array, at: number, expected: string): boolean {
  return text(bytes.subarray(at), expected.length) === expected;
}

function text(bytes: Uint8Array, length: number): string {
  const part = bytes.subarray(0, length);
  return Buffer.from(part.buffer, part.byteOffset, part.length).toString('latin1');
}

function uint32(bytes: Uint8Array, at: number): number | null {
  if (bytes.length < at + 4) return null;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}
