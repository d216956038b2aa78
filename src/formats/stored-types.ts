/**
 * Bytes of one element as a weight file holds it, by the name of the type in the manifest; texts
 * have no fixed length.
 */
export const STORED_ELEMENT_BYTES = {
  float32: 4,
  int32: 4,
  bool: 1,
  complex64: 8,
  uint8: 1,
  uint16: 2,
  float16: 2,
} as const;

export type StoredType = keyof typeof STORED_ELEMENT_BYTES;

export function isStoredType(type: unknown): type is StoredType {
  return typeof type === 'string' && Object.hasOwn(STORED_ELEMENT_BYTES, type);
}
