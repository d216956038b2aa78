import { InvalidInputError } from '../../common/errors';
import { MalformedRequestError } from './tfserving.errors';

const METHODS = ['predict', 'classify', 'regress'] as const;
/** What can be asked of a version. */
export type TfMethod = (typeof METHODS)[number];

/** A version as an address names it: by number, by label, or not at all. */
export interface TfModelSpec {
  readonly name: string;
  /** A decimal that fits an int64. */
  readonly version?: bigint | undefined;
  readonly label?: string | undefined;
}

/** What an address under /v1/ asks for. */
export type TfCall =
  | { readonly kind: 'list' }
  | { readonly kind: 'status' | 'metadata' | 'explain'; readonly spec: TfModelSpec }
  | { readonly kind: TfMethod; readonly spec: TfModelSpec };

const OF_VERSION = String.raw`(?:/versions/(\d+)|/labels/([^/:]+))?`;
const ACTION = new RegExp(
  String.raw`^/v1/models/([^/:]+)${OF_VERSION}:(${METHODS.join('|')}|explain)$`,
  'i',
);
const STATUS = new RegExp(String.raw`^/v1/models(?:/([^/:]+?))??${OF_VERSION}(/metadata)?$`, 'i');

const MAX_INT64 = 2n ** 63n - 1n;

/**
 * Reads an address of TensorFlow Serving, or of version 1 of KServe. Letters of the fixed parts may
 * be upper or lower case; names and labels may be percent-encoded.
 *
 * @param path without the query
 * @throws MalformedRequestError, InvalidInputError
 */
export function parseTfAddress(method: string, path: string): TfCall {
  const malformed = (): MalformedRequestError =>
    new MalformedRequestError(`Malformed request: ${method} ${path}`, { method });
  if (method === 'POST') {
    const match = ACTION.exec(path);
    if (!match) throw malformed();
    const [, name = '', version, label, action = ''] = match;
    const kind = action.toLowerCase() as TfMethod | 'explain';
    return { kind, spec: toSpec(name, version, label, malformed) };
  }
  if (method !== 'GET') throw malformed();
  if (/^\/v1\/models$/i.test(path)) return { kind: 'list' };
  const match = STATUS.exec(path);
  if (!match) throw malformed();
  const [, name, version, label, metadata] = match;
  if (name === undefined) {
    throw new InvalidInputError('Missing model name in request.');
  }
  const kind = metadata === undefined ? 'status' : 'metadata';
  return { kind, spec: toSpec(name, version, label, malformed) };
}

function toSpec(
  name: string,
  version: string | undefined,
  label: string | undefined,
  malformed: () => MalformedRequestError,
): TfModelSpec {
  const number = version === undefined ? undefined : toVersion(version);
  try {
    return {
      name: decodeURIComponent(name),
      version: number,
      label: label === undefined ? undefined : decodeURIComponent(label),
    };
  } catch {
    throw malformed();
  }
}

function toVersion(text: string): bigint {
  // Longer ones are refused without being computed.
  const version = text.length > 30 ? null : BigInt(text);
  if (version === null || version > MAX_INT64) {
    throw new InvalidInputError(`Failed to convert version: ${text.slice(0, 60)} to numeric.`);
  }
  return version;
}
