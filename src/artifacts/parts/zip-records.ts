import { type ByteReader } from './byte-reader';
import { ArchiveDamagedError, MemberRefusedError } from './parts.errors';

/** The four bytes before each record, little-endian (PKWARE APPNOTE 6.3, section 4.3). */
export const SIGNATURE = {
  localHeader: 0x04034b50,
  descriptor: 0x08074b50,
  directoryHeader: 0x02014b50,
  zip64End: 0x06064b50,
  zip64Locator: 0x07064b50,
  end: 0x06054b50,
} as const;

export const FLAG = { encrypted: 0x1, descriptor: 0x8, patch: 0x20, strong: 0x40, masked: 0x2000 };
export const METHOD = { stored: 0, deflated: 8 } as const;

const LOCAL_HEADER_BYTES = 30;
const DIRECTORY_HEADER_BYTES = 46;
const ZIP64_EXTRA = 0x0001;
const MAX_UINT32 = 0xffffffff;
const REFUSED_FLAGS = FLAG.encrypted | FLAG.patch | FLAG.strong | FLAG.masked;

/** What both headers of a member say about it. */
export interface MemberHeader {
  readonly name: string;
  /** Compared between the two headers: what a name decodes to may not tell two apart. */
  readonly rawName: Buffer;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly compressedBytes: number;
  readonly rawBytes: number;
}

export interface DirectoryHeader extends MemberHeader {
  readonly localOffset: number;
  /** File type and permissions where a Unix wrote the zip, else 0. */
  readonly unixMode: number;
  readonly dosAttributes: number;
}

/** The signature that comes next, or 0 at the end. */
export async function peekSignature(reader: ByteReader): Promise<number> {
  const bytes = await reader.peek(4);
  return bytes.length < 4 ? 0 : bytes.readUInt32LE();
}

export async function takeBytes(reader: ByteReader, bytes: number, path = ''): Promise<Buffer> {
  const taken = await reader.exactly(bytes);
  if (!taken) throw new ArchiveDamagedError(path, 'the zip is cut off here');
  return taken;
}

export async function readLocalHeader(reader: ByteReader): Promise<MemberHeader> {
  const fixed = Buffer.from(await takeBytes(reader, LOCAL_HEADER_BYTES));
  const rawName = Buffer.from(await takeBytes(reader, fixed.readUInt16LE(26)));
  const extra = await takeBytes(reader, fixed.readUInt16LE(28));
  return readMember(fixed.subarray(6), fixed.subarray(14), rawName, extra);
}

export async function readDirectoryHeader(reader: ByteReader): Promise<DirectoryHeader> {
  const fixed = Buffer.from(await takeBytes(reader, DIRECTORY_HEADER_BYTES));
  const rawName = Buffer.from(await takeBytes(reader, fixed.readUInt16LE(28)));
  const extra = await takeBytes(reader, fixed.readUInt16LE(30));
  const offset = { value: fixed.readUInt32LE(42) };
  const member = readMember(fixed.subarray(8), fixed.subarray(16), rawName, extra, offset);
  await takeBytes(reader, fixed.readUInt16LE(32), member.name);
  const attributes = fixed.readUInt32LE(38);
  return {
    ...member,
    localOffset: offset.value,
    unixMode: attributes >>> 16,
    dosAttributes: attributes & 0xffff,
  };
}

/**
 * Both headers have two runs of fields in common: flags and method, checksum and sizes. A size
 * (and the offset) of all ones stands in the zip64 extra field, where only those do, in this order.
 */
function readMember(
  kind: Buffer,
  sizes: Buffer,
  rawName: Buffer,
  extra: Buffer,
  offset?: { value: number },
): MemberHeader {
  const flags = kind.readUInt16LE(0);
  const method = kind.readUInt16LE(2);
  const name = decodeName(rawName);
  if ((flags & REFUSED_FLAGS) !== 0) {
    throw new MemberRefusedError(name, 'is encrypted, or a patch to another file');
  }
  if (method !== METHOD.stored && method !== METHOD.deflated) {
    throw new MemberRefusedError(
      name,
      `is packed by method ${method}; only deflate (8) and stored (0) are unpacked`,
    );
  }
  const wide = wideValues(extra, name);
  const widen = (value: number): number => {
    if (value !== MAX_UINT32) return value;
    const next = wide.shift();
    if (next === undefined) throw new ArchiveDamagedError(name, 'a size of the member is missing');
    return next;
  };
  const rawBytes = widen(sizes.readUInt32LE(8));
  const compressedBytes = widen(sizes.readUInt32LE(4));
  if (offset) offset.value = widen(offset.value);
  return {
    name,
    rawName,
    flags,
    method,
    crc32: sizes.readUInt32LE(0),
    compressedBytes,
    rawBytes,
  };
}

function wideValues(extra: Buffer, name: string): number[] {
  for (let at = 0; at + 4 <= extra.length;) {
    const end = at + 4 + extra.readUInt16LE(at + 2);
    if (end > extra.length) break;
    if (extra.readUInt16LE(at) === ZIP64_EXTRA) {
      const values: number[] = [];
      for (let value = at + 4; value + 8 <= end; value += 8) {
        values.push(readUInt64(extra, value, name));
      }
      return values;
    }
    at = end;
  }
  return [];
}

export function readUInt64(bytes: Buffer, at: number, name = ''): number {
  const value = bytes.readBigUInt64LE(at);
  if (value > Number.MAX_SAFE_INTEGER) {
    throw new ArchiveDamagedError(name, 'a size is beyond any file');
  }
  return Number(value);
}

/** Names are read as UTF-8 whether or not the zip says so: every tool of this century writes it. */
function decodeName(rawName: Buffer): string {
  // Invalid bytes become U+FFFD, which no path may hold.
  return rawName.toString('utf8');
}
