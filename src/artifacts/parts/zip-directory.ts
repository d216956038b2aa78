import { type ByteReader } from './byte-reader';
import { ArchiveDamagedError, MemberRefusedError } from './parts.errors';
import {
  type DirectoryHeader,
  type MemberHeader,
  peekSignature,
  readDirectoryHeader,
  readUInt64,
  SIGNATURE,
  takeBytes,
} from './zip-records';

/** A member as it was read: what stood before it, where, and what its bytes turned out to be. */
export interface UnpackedMember {
  readonly header: MemberHeader;
  readonly offset: number;
  readonly crc32: number;
  readonly compressedBytes: number;
  readonly rawBytes: number;
}

/** Where the directory was found, to be compared with what the end of the zip says. */
interface Directory {
  readonly entries: number;
  readonly offset: number;
  readonly bytes: number;
}

const FILE_TYPE = 0o170000;
/** A named pipe is not among them: so a member is marked whose bytes came from one, as in `zip - -`. */
const SPECIAL_TYPES: ReadonlyMap<number, string> = new Map([
  [0o020000, 'a device'],
  [0o060000, 'a device'],
  [0o120000, 'a symbolic link'],
  [0o140000, 'a socket'],
]);
const DOS_REPARSE_POINT = 0x400;

const MAX_UINT16 = 0xffff;
const MAX_UINT32 = 0xffffffff;

/** Reads a zip from its directory to its last byte and compares it with the members that came before. */
export async function checkDirectory(
  reader: ByteReader,
  unpacked: readonly UnpackedMember[],
): Promise<void> {
  const offset = reader.position;
  const byOffset = new Map(unpacked.map((member) => [member.offset, member]));
  let entries = 0;
  while ((await peekSignature(reader)) === SIGNATURE.directoryHeader) {
    const entry = await readDirectoryHeader(reader);
    const member = byOffset.get(entry.localOffset);
    if (!member || !isSame(member, entry)) {
      throw new ArchiveDamagedError(
        entry.name,
        'the directory at the end of the zip differs from what stands before the member',
      );
    }
    refuseSpecial(entry);
    byOffset.delete(entry.localOffset);
    entries++;
  }
  const [unlisted] = byOffset.values();
  if (unlisted && entries > 0) {
    throw new ArchiveDamagedError(
      unlisted.header.name,
      'the directory at the end of the zip does not list this member',
    );
  }
  await checkEnd(reader, { entries, offset, bytes: reader.position - offset });
  if (unlisted) {
    throw new ArchiveDamagedError('', 'the zip has no directory at its end');
  }
}

function isSame(member: UnpackedMember, entry: DirectoryHeader): boolean {
  return (
    entry.rawName.equals(member.header.rawName) &&
    entry.flags === member.header.flags &&
    entry.method === member.header.method &&
    entry.crc32 === member.crc32 &&
    entry.compressedBytes === member.compressedBytes &&
    entry.rawBytes === member.rawBytes
  );
}

function refuseSpecial({ name, unixMode, dosAttributes }: DirectoryHeader): void {
  const special =
    SPECIAL_TYPES.get(unixMode & FILE_TYPE) ??
    ((dosAttributes & DOS_REPARSE_POINT) === 0 ? undefined : 'a link');
  if (special !== undefined) {
    throw new MemberRefusedError(name, `is ${special}; only regular files and folders are taken`);
  }
}

async function checkEnd(reader: ByteReader, found: Directory): Promise<void> {
  const zip64 = await readZip64End(reader, found);
  if ((await peekSignature(reader)) !== SIGNATURE.end) {
    throw new ArchiveDamagedError(
      '',
      found.entries === 0 && reader.position === 0
        ? 'this is no zip'
        : 'what stands here is neither a member nor the end of the zip',
    );
  }
  const end = Buffer.from(await takeBytes(reader, 22));
  await takeBytes(reader, end.readUInt16LE(20));
  const says = (value: number, actual: number, wideMark: number): boolean =>
    value === actual || (zip64 && value === wideMark);
  const agrees =
    says(end.readUInt16LE(4), 0, MAX_UINT16) &&
    says(end.readUInt16LE(6), 0, MAX_UINT16) &&
    says(end.readUInt16LE(8), found.entries, MAX_UINT16) &&
    says(end.readUInt16LE(10), found.entries, MAX_UINT16) &&
    says(end.readUInt32LE(12), found.bytes, MAX_UINT32) &&
    says(end.readUInt32LE(16), found.offset, MAX_UINT32);
  if (!agrees) {
    throw new ArchiveDamagedError('', 'the end of the zip does not describe what came before it');
  }
  if (await reader.next(1)) {
    throw new ArchiveDamagedError('', 'there are bytes after the end of the zip');
  }
}

/** The wide form of the end, where it is; says whether it is. */
async function readZip64End(reader: ByteReader, found: Directory): Promise<boolean> {
  const offset = reader.position;
  if ((await peekSignature(reader)) !== SIGNATURE.zip64End) return false;
  const end = Buffer.from(await takeBytes(reader, 56));
  const locator = Buffer.from(await takeBytes(reader, 20));
  const agrees =
    // A longer record would hold extensions that no common writer knows.
    readUInt64(end, 4) === 44 &&
    end.readUInt32LE(16) === 0 &&
    end.readUInt32LE(20) === 0 &&
    readUInt64(end, 24) === found.entries &&
    readUInt64(end, 32) === found.entries &&
    readUInt64(end, 40) === found.bytes &&
    readUInt64(end, 48) === found.offset &&
    locator.readUInt32LE() === SIGNATURE.zip64Locator &&
    locator.readUInt32LE(4) === 0 &&
    readUInt64(locator, 8) === offset &&
    locator.readUInt32LE(16) <= 1;
  if (!agrees) {
    throw new ArchiveDamagedError('', 'the end of the zip does not describe what came before it');
  }
  return true;
}
