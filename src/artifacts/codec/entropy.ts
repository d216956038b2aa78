const counts = new Uint32Array(256);

/** Bits that a byte of these carries when each is taken for itself: 0 to 8. */
export function entropyBits(bytes: Uint8Array): number {
  counts.fill(0);
  for (const byte of bytes) counts[byte] = (counts[byte] ?? 0) + 1;
  let bits = 0;
  for (const count of counts) {
    if (count > 0) bits -= (count / bytes.length) * Math.log2(count / bytes.length);
  }
  return bits;
}
