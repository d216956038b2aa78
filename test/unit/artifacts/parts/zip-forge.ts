import { crc32, deflateRawSync } from 'node:zlib';

/** One member as both of its headers are to be written; `directory` lies in the second one only. */
export interface ForgedMember {
  readonly name: string;
  readonly bytes?: Buffer;
  readonly packed?: Buffer;
  readonly method?: number;
  readonly flags?: number;
  readonly crc?: number;
  readonly rawBytes?: number;
  readonly compressedBytes?: number;
  readonly unixMode?: number;
  readonly attributes?: number;
  readonly descriptor?: Buffer;
  readonly unlisted?: boolean;
  readonly directory?: {
    readonly name?: string;
    readonly crc?: number;
    readonly rawBytes?: number;
    readonly flags?: number;
    readonly offset?: number;
  };
}

export interface ForgedEnd {
  readonly entries?: number;
  readonly offset?: number;
  readonly comment?: string;
  readonly behind?: Buffer;
}

/** Writes a zip field by field, so that any of them can lie. */
export function forgeZip(members: readonly ForgedMember[], end: ForgedEnd = {}): Buffer {
  const body: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const member of members) {
    const bytes = member.bytes ?? Buffer.from('contents');
    const method = member.method ?? 8;
    const packed = member.packed ?? (method === 8 ? deflateRawSync(bytes) : bytes);
    const fields = {
      name: Buffer.from(member.name),
      flags: member.flags ?? 0,
      method,
      crc: member.crc ?? crc32(bytes),
      compressedBytes: member.compressedBytes ?? packed.length,
      rawBytes: member.rawBytes ?? bytes.length,
    };
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50);
    local.writeUInt16LE(20, 4);
    writeFields(local, 6, fields);
    local.writeUInt16LE(fields.name.length, 26);
    const piece = Buffer.concat([local, fields.name, packed, member.descriptor ?? Buffer.alloc(0)]);
    if (member.unlisted !== true) {
      const listed = {
        ...fields,
        // What a streamed member could not say in front stands here in any case.
        ...((fields.flags & 8) === 0
          ? {}
          : { crc: crc32(bytes), compressedBytes: packed.length, rawBytes: bytes.length }),
        ...member.directory,
        name: Buffer.from(member.directory?.name ?? member.name),
      };
      const central = Buffer.alloc(46);
      central.writeUInt32LE(0x02014b50);
      central.writeUInt16LE((3 << 8) | 20, 4);
      writeFields(central, 8, listed);
      central.writeUInt16LE(listed.name.length, 28);
      const attributes = member.attributes ?? (member.unixMode ?? 0o100644) * 0x10000;
      central.writeUInt32LE(attributes, 38);
      central.writeUInt32LE(member.directory?.offset ?? offset, 42);
      directory.push(central, listed.name);
    }
    body.push(piece);
    offset += piece.length;
  }
  const directoryBytes = Buffer.concat(directory);
  const listed = directory.length / 2;
  const tail = Buffer.alloc(22);
  tail.writeUInt32LE(0x06054b50);
  tail.writeUInt16LE(end.entries ?? listed, 8);
  tail.writeUInt16LE(end.entries ?? listed, 10);
  tail.writeUInt32LE(directoryBytes.length, 12);
  tail.writeUInt32LE(end.offset ?? offset, 16);
  tail.writeUInt16LE(end.comment?.length ?? 0, 20);
  return Buffer.concat([
    ...body,
    directoryBytes,
    tail,
    Buffer.from(end.comment ?? ''),
    end.behind ?? Buffer.alloc(0),
  ]);
}

function writeFields(
  header: Buffer,
  at: number,
  fields: {
    flags: number;
    method: number;
    crc: number;
    compressedBytes: number;
    rawBytes: number;
  },
): void {
  header.writeUInt16LE(fields.flags, at);
  header.writeUInt16LE(fields.method, at + 2);
  header.writeUInt32LE(fields.crc, at + 8);
  header.writeUInt32LE(fields.compressedBytes, at + 12);
  header.writeUInt32LE(fields.rawBytes, at + 16);
}
