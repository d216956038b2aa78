const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_HEADER = 0x04034b50;
const MAX_MEMBERS = 10_000;
const decoder = new TextDecoder();

export function isZip(head: Uint8Array): boolean {
  return head.length >= 30 && viewOf(head).getUint32(0, true) === LOCAL_HEADER;
}

/**
 * Names of the members of a zip, from its directory as far as the last bytes of the file hold it,
 * and from its first header. Only for recognising a file: nothing is unpacked by this.
 */
export function listZip(head: Uint8Array, tail: Uint8Array, bytes: number): readonly string[] {
  const names: string[] = [];
  const first = viewOf(head);
  names.push(decoder.decode(head.subarray(30, 30 + first.getUint16(26, true))));
  const view = viewOf(tail);
  const end = findEnd(view);
  if (end === null) return names;
  // Where the directory starts in the file, seen from the start of the tail.
  let at = view.getUint32(end + 16, true) - (bytes - tail.length);
  if (at < 0) at = nextEntry(view);
  while (at >= 0 && at + 46 <= end && names.length < MAX_MEMBERS) {
    if (view.getUint32(at, true) !== DIRECTORY_ENTRY) break;
    const length = view.getUint16(at + 28, true);
    names.push(decoder.decode(tail.subarray(at + 46, at + 46 + length)));
    at += 46 + length + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return names;
}

function findEnd(view: DataView): number | null {
  for (let at = view.byteLength - 22; at >= 0; at--) {
    if (view.getUint32(at, true) === END_OF_DIRECTORY) return at;
  }
  return null;
}

/** A directory longer than the tail is read from the first of its entries that is whole. */
function nextEntry(view: DataView): number {
  for (let at = 0; at + 46 <= view.byteLength; at++) {
    if (view.getUint32(at, true) === DIRECTORY_ENTRY) return at;
  }
  return -1;
}

/** The first bytes of the first member whose name ends so, when it stands uncompressed at the start. */
export function storedMember(head: Uint8Array, ending: string): Uint8Array | null {
  const view = viewOf(head);
  let at = 0;
  while (at + 30 <= head.length && view.getUint32(at, true) === LOCAL_HEADER) {
    const nameLength = view.getUint16(at + 26, true);
    const start = at + 30 + nameLength + view.getUint16(at + 28, true);
    const name = decoder.decode(head.subarray(at + 30, at + 30 + nameLength));
    const isStored = view.getUint16(at + 8, true) === 0;
    if (name.endsWith(ending)) return isStored ? head.subarray(Math.min(start, head.length)) : null;
    const size = view.getUint32(at + 18, true);
    if (size === 0 || (view.getUint16(at + 6, true) & 0x08) !== 0) return null;
    at = start + size;
  }
  return null;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
