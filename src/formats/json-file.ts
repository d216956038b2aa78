import { isUtf8 } from 'node:buffer';

import { findSyntaxFault } from '../http/json-syntax';

/** The largest description of a model that is read at all. */
export const MAX_JSON_BYTES = 32 * 1024 * 1024;

/** Arrays and objects within each other; a converted model has about a dozen. */
const MAX_DEPTH = 200;

/** Saying where a longer text stops being JSON would take seconds. */
const MAX_EXPLAINED = 1024 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Bytes at which the scan stops; all others only matter to the parser. */
const STOPS = new Uint8Array(256);
for (const mark of '"[]{}') STOPS[mark.charCodeAt(0)] = 1;

export type ParsedJson =
  | { readonly value: unknown; readonly fault?: never }
  | { readonly value?: never; readonly fault: string };

/**
 * Parses a JSON file of an artifact, or says why that cannot be done.
 *
 * `JSON.parse` takes any nesting; whatever walks the result afterwards, here or in TensorFlow.js,
 * recurses and would overflow its stack. So depth is checked on the bytes, before anything else
 * looks at them.
 */
export function parseJsonFile(content: Uint8Array): ParsedJson {
  if (content.length > MAX_JSON_BYTES) return { fault: `is larger than ${MAX_JSON_BYTES} bytes` };
  if (content[0] === 0xef && content[1] === 0xbb && content[2] === 0xbf) {
    return { fault: 'starts with a byte order mark, which JSON does not have' };
  }
  if (!isUtf8(content)) return { fault: 'is not valid UTF-8' };
  if (isDeeperThan(content, MAX_DEPTH)) {
    return { fault: `is nested deeper than ${MAX_DEPTH} levels` };
  }
  const text = Buffer.from(content.buffer, content.byteOffset, content.length).toString('utf8');
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    if (text.length > MAX_EXPLAINED) return { fault: 'is not JSON' };
    const { position, message } = findSyntaxFault(text);
    return { fault: `is not JSON: ${message} at position ${position}` };
  }
}

function isDeeperThan(content: Uint8Array, limit: number): boolean {
  let depth = 0;
  for (let at = 0; at < content.length; at++) {
    const byte = content[at] ?? 0;
    if (STOPS[byte] === 0) continue;
    if (byte === QUOTE) {
      for (at++; at < content.length && content[at] !== QUOTE; at++) {
        if (content[at] === BACKSLASH) at++;
      }
      // Opening and closing marks differ in this bit: [ 5b, ] 5d, { 7b, } 7d.
    } else if ((byte & 0x02) === 0) depth--;
    else if (++depth > limit) return true;
  }
  return false;
}
