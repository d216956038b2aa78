const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_HEADER = 0x04034b50;
const MAX_MEMBERS = 10_000;
const decoder = new TextDecoder();

export function isZip(head: Uint8Array): boolean {
  return head.length >= 30 && viewOf(head).getUint32(0, true) === LOCAL_HEADER;
}

/** A member of a zip as its directory tells of it. */
export interface ListedMember {
  readonly name: string;
  /** Where its own header is said to begin. */
  readonly offset: number;
}

/**
 * The members of a zip, from its directory as far as the last bytes of the file hold it. Only for
 * recognising a file: nothing is unpacked by this.
 */
export function listZip(tail: Uint8Array, bytes: number): readonly ListedMember[] {
  const members: ListedMember[] = [];
  const view = viewOf(tail);
  const end = findEnd(view);
  if (end === null) return members;
  // Where the directory starts in the file, seen from the start of the tail.
  let at = view.getUint32(end + 16, true) - (bytes - tail.length);
  if (at < 0) at = nextEntry(view);
  while (at >= 0 && at + 46 <= end && members.length < MAX_MEMBERS) {
    if (view.getUint32(at, true) !== DIRECTORY_ENTRY) break;
    const length = view.getUint16(at + 28, true);
    const name = decoder.decode(tail.subarray(at + 46, at + 46 + length));
    members.push({ name, offset: view.getUint32(at + 42, true) });
    at += 46 + length + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return members;
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

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
