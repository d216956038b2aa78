import { isUtf8 } from 'node:buffer';

import { findSyntaxFault } from '../http/json-syntax';

/** The largest description of a model that is read at all. */
export const MAX_JSON_BYTES = 32 * 1024 * 1024;

/** Arrays and objects within each other; a converted model has about a dozen. */
const MAX_DEPTH = 200;

/** Keys and elements of all arrays and objects; a graph of a thousand nodes has some 20,000. */
const MAX_VALUES = 1_000_000;

/** Saying where a longer text stops being JSON would take seconds. */
const MAX_EXPLAINED = 1024 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;

/** Bytes at which the scan stops; all others only matter to the parser. */
const STOPS = new Uint8Array(256);
for (const mark of '"[]{},') STOPS[mark.charCodeAt(0)] = 1;

export type ParsedJson =
  | { readonly value: unknown; readonly fault?: never }
  | { readonly value?: never; readonly fault: string };

/**
 * Parses a JSON file of an artifact, or says why that cannot be done.
 *
 * `JSON.parse` takes any nesting; whatever walks the result afterwards, here or in TensorFlow.js,
 * recurses and would overflow its stack. So depth is checked on the bytes, before anything else
 * looks at them, and so is the number of values, which is what parsing and checking take time for.
 */
export function parseJsonFile(content: Uint8Array): ParsedJson {
  if (content.length > MAX_JSON_BYTES) return { fault: `is larger than ${MAX_JSON_BYTES} bytes` };
  if (content[0] === 0xef && content[1] === 0xbb && content[2] === 0xbf) {
    return { fault: 'starts with a byte order mark, which JSON does not have' };
  }
  if (!isUtf8(content)) return { fault: 'is not valid UTF-8' };
  const excess = excessOf(content);
  if (excess !== undefined) return { fault: excess };
  const text = Buffer.from(content.buffer, content.byteOffset, content.length).toString('utf8');
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    if (text.length > MAX_EXPLAINED) return { fault: 'is not JSON' };
    const { position, message } = findSyntaxFault(text);
    return { fault: `is not JSON: ${message} at position ${position}` };
  }
}

/** What there is too much of for the file to be parsed at all, or nothing. */
function excessOf(content: Uint8Array): string | undefined {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < content.length; at++) {
    const byte = content[at] ?? 0;
    if (STOPS[byte] === 0) continue;
    if (byte === QUOTE) {
      for (at++; at < content.length && content[at] !== QUOTE; at++) {
        if (content[at] === BACKSLASH) at++;
      }
    } else if (byte !== COMMA && (byte & 0x02) === 0) {
      // Opening and closing marks differ in this bit: [ 5b, ] 5d, { 7b, } 7d.
      depth--;
    } else {
      if (byte !== COMMA && ++depth > MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
      if (++values > MAX_VALUES) return `holds more than ${MAX_VALUES} values`;
    }
  }
  return undefined;
}
