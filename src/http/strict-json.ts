import { isAscii, isUtf8 } from 'node:buffer';

import { BadSyntaxError, InvalidInputError } from '../common/errors';
import { findSyntaxFault } from './json-syntax';

/** Bytes that are no JSON, or JSON that two readers could understand differently. */
export class BadJsonError extends BadSyntaxError {
  override readonly code = 'bad_json';
}

/** JSON that is sound, yet nested deeper or with more keys than any request needs. */
export class JsonTooComplexError extends InvalidInputError {
  override readonly code = 'json_too_complex';
}

export interface JsonLimits {
  /** Arrays and objects within each other; a tensor of rank 16 as a named input needs 18. */
  readonly maxDepth?: number;
  /** Keys of one object. */
  readonly maxKeys?: number;
}

const MAX_DEPTH = 32;
const MAX_KEYS = 1000;

const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/** Bytes at which the scan stops: quotes, braces and brackets. All others only matter to the parser. */
const STOPS = new Uint8Array(256);
for (const mark of '"[]{}') STOPS[mark.charCodeAt(0)] = 1;

/**
 * Reads JSON from UTF-8, refusing what `JSON.parse` lets pass: byte order marks, invalid UTF-8,
 * keys that stand twice in one object, `__proto__` in any spelling, and nesting without end.
 *
 * Costs one pass over the bytes more than `JSON.parse`, and never recurses.
 *
 * @throws BadJsonError with the position; JsonTooComplexError beyond the limits
 */
export function parseStrictJson(body: Buffer, limits: JsonLimits = {}): unknown {
  if (body.length === 0) throw new BadJsonError('The body is empty; JSON was expected');
  if (body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf) {
    throw new BadJsonError('The body starts with a byte order mark, which JSON does not have', {
      position: 0,
    });
  }
  const ascii = isAscii(body);
  if (!ascii && !isUtf8(body)) throw new BadJsonError('The body is not valid UTF-8');
  assertUnambiguous(body, limits.maxDepth ?? MAX_DEPTH, limits.maxKeys ?? MAX_KEYS);
  const text = ascii ? body.toString('latin1') : body.toString('utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const { position, message } = findSyntaxFault(text);
    throw new BadJsonError(
      `The body is not JSON: ${message} at position ${position}`,
      { position },
      { cause },
    );
  }
}

/**
 * Checks nesting and keys. Whether the bytes are JSON at all is left to the parser, so nothing
 * here relies on it; in JSON, a string is a key exactly if a colon follows.
 */
function assertUnambiguous(body: Buffer, maxDepth: number, maxKeys: number): void {
  const end = body.length;
  /** The keys seen so far of each open object; null for arrays and objects without any yet. */
  const keysOfOpen: (Set<string> | null)[] = [];
  for (let at = 0; at < end; at++) {
    const byte = body[at] ?? 0;
    if (STOPS[byte] === 0) continue;
    if (byte !== QUOTE) {
      // Opening and closing marks differ in this bit: [ 5b, ] 5d, { 7b, } 7d.
      if ((byte & 0x02) === 0) keysOfOpen.pop();
      else if (keysOfOpen.push(null) > maxDepth) {
        throw new JsonTooComplexError(`The body is nested deeper than ${maxDepth} levels`, [], {
          position: at,
          maxDepth,
        });
      }
      continue;
    }
    const start = at;
    let escaped = false;
    for (at++; at < end && body[at] !== QUOTE; at++) {
      if (body[at] === BACKSLASH) {
        escaped = true;
        at++;
      }
    }
    if (!isKeyBefore(body, at + 1) || keysOfOpen.length === 0) continue;
    const key = readKey(body, start, at, escaped);
    const keys = (keysOfOpen[keysOfOpen.length - 1] ??= new Set());
    if (key === '__proto__' || keys.has(key)) {
      throw new BadJsonError(
        key === '__proto__'
          ? `The key __proto__ at position ${start} is not accepted`
          : `The key ${JSON.stringify(key.slice(0, 60))} at position ${start} stands twice in one object`,
        { position: start },
      );
    }
    if (keys.add(key).size > maxKeys) {
      throw new JsonTooComplexError(`An object has more than ${maxKeys} keys`, [], {
        position: start,
        maxKeys,
      });
    }
  }
}

function isKeyBefore(body: Buffer, from: number): boolean {
  let at = from;
  while (body[at] === 0x20 || body[at] === 0x0a || body[at] === 0x0d || body[at] === 0x09) at++;
  return body[at] === COLON;
}

function readKey(body: Buffer, start: number, end: number, escaped: boolean): string {
  if (!escaped) return body.toString('utf8', start + 1, end);
  const text = body.toString('utf8', start, end + 1);
  try {
    return JSON.parse(text) as string;
  } catch {
    // A faulty escape: the parser refuses the whole, with a better message.
    return text;
  }
}
