const NAME = '"modelTopology"';
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Whether the beginning of a file is that of a JSON object with a `modelTopology` of its own.
 *
 * A text that speaks of one, an archive with a model inside, or an object that holds it somewhere
 * deeper is no description of a model.
 */
export function namesTopology(head: Uint8Array): boolean {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length);
  if (!/^(?:\xef\xbb\xbf)?\s*\{/.test(bytes.toString('latin1')) || !bytes.includes(NAME)) {
    return false;
  }
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) {
      const start = at;
      for (at++; at < bytes.length && bytes[at] !== QUOTE; at++) {
        if (bytes[at] === BACKSLASH) at++;
      }
      if (depth === 1 && bytes.toString('latin1', start, at + 1) === NAME) {
        // As a value it would be followed by something else.
        if (/^\s*:/.test(bytes.toString('latin1', at + 1, at + 64))) return true;
      }
    } else if (byte === 0x7b || byte === 0x5b) {
      depth++;
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--;
    }
  }
  return false;
}
