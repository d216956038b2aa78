/** Texts out of the bytes of a tensor, each behind its length. */
export function unpackTexts(data: Uint8Array): string[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const texts: string[] = [];
  const decoder = new TextDecoder();
  for (let at = 0; at < data.byteLength;) {
    const length = view.getUint32(at, true);
    texts.push(decoder.decode(data.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return texts;
}

/** The inverse, from texts in UTF-8. */
export function packTexts(texts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(texts.reduce((sum, text) => sum + 4 + text.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const text of texts) {
    view.setUint32(at, text.length, true);
    bytes.set(text, at + 4);
    at += 4 + text.length;
  }
  return bytes;
}
