import { crc32 } from 'node:zlib';

import { type Member } from './admission';
import { type ByteReader } from './byte-reader';
import { ArchiveDamagedError, MemberRefusedError } from './parts.errors';
import { inflateRaw } from './unpack';
import { checkDirectory, type UnpackedMember } from './zip-directory';
import {
  FLAG,
  type MemberHeader,
  METHOD,
  peekSignature,
  readLocalHeader,
  SIGNATURE,
  takeBytes,
} from './zip-records';

/**
 * The members of a zip, in the order of their bytes, from a source that cannot be sought.
 *
 * A zip says everything twice: before each member and in the directory at its end. Reading it as
 * a stream means to believe the first, so the second must agree to the letter, and must name every
 * member that was handed out and no other. Symbolic links are known only from the directory.
 */
export async function* zipMembers(reader: ByteReader): AsyncGenerator<Member> {
  const unpacked: UnpackedMember[] = [];
  while ((await peekSignature(reader)) === SIGNATURE.localHeader) {
    const offset = reader.position;
    const header = await readLocalHeader(reader);
    const { name } = header;
    const kind = name.endsWith('/') ? 'folder' : 'file';
    if (kind === 'folder' && header.rawBytes > 0) {
      throw new MemberRefusedError(name, 'is a folder with contents of its own');
    }
    yield {
      name,
      kind,
      declaredBytes: header.rawBytes,
      body: unpackMember(reader, header, (measured) => unpacked.push({ offset, ...measured })),
    };
  }
  await checkDirectory(reader, unpacked);
}

type Measured = Omit<UnpackedMember, 'offset'>;

/** The bytes of one member; fails at their end when checksum or sizes are not as announced. */
async function* unpackMember(
  reader: ByteReader,
  header: MemberHeader,
  done: (measured: Measured) => void,
): AsyncGenerator<Buffer> {
  const { name } = header;
  const isDeferred = (header.flags & FLAG.descriptor) !== 0;
  const start = reader.position;
  let crc = 0;
  let rawBytes = 0;
  for await (const piece of packedBytes(reader, header, isDeferred)) {
    crc = crc32(piece, crc);
    rawBytes += piece.length;
    if (!isDeferred && rawBytes > header.rawBytes) {
      throw new ArchiveDamagedError(name, `holds more than the announced ${header.rawBytes} bytes`);
    }
    yield piece;
  }
  const measured = { header, crc32: crc, rawBytes, compressedBytes: reader.position - start };
  if (isDeferred) await skipDescriptor(reader, measured);
  else if (rawBytes !== header.rawBytes) {
    throw new ArchiveDamagedError(
      name,
      `holds ${rawBytes} bytes instead of the announced ${header.rawBytes}`,
    );
  } else if (crc !== header.crc32) {
    throw new ArchiveDamagedError(name, 'the checksum of its bytes differs');
  }
  done(measured);
}

async function* packedBytes(
  reader: ByteReader,
  { name, method, compressedBytes }: MemberHeader,
  isDeferred: boolean,
): AsyncGenerator<Buffer> {
  let left = compressedBytes;
  const next = async (): Promise<Buffer | undefined> => {
    if (left === 0) return undefined;
    const piece = await reader.next(left);
    if (!piece) throw new ArchiveDamagedError(name, 'the zip is cut off here');
    left -= piece.length;
    return piece;
  };
  if (method === METHOD.stored) {
    for (let piece = await next(); piece; piece = await next()) yield piece;
    return;
  }
  if (isDeferred) {
    // Deflate data knows its own end; whatever was pulled from behind it goes back.
    reader.giveBack(yield* inflateRaw(() => reader.next(), name));
    return;
  }
  const rest = yield* inflateRaw(next, name);
  if (left + rest.length > 0) {
    throw new ArchiveDamagedError(name, 'the compressed data ends before its announced length');
  }
}

/**
 * A writer that cannot go back says checksum and sizes behind the data: with or without a
 * signature, in 32 or 64 bits, and nothing tells which. Only one reading fits what was measured
 * and has the next record behind it.
 */
async function skipDescriptor(reader: ByteReader, measured: Measured): Promise<void> {
  const { name, method, rawBytes: announced } = measured.header;
  const ahead = await reader.peek(28);
  const layouts = [4, 0].flatMap((start) => [4, 8].map((width) => ({ start, width })));
  const fitting = layouts.find(({ start, width }) => {
    const end = start + 4 + 2 * width;
    if (ahead.length < end + 4) return false;
    const read = (at: number): number =>
      width === 4 ? ahead.readUInt32LE(at) : Number(ahead.readBigUInt64LE(at));
    const following = ahead.readUInt32LE(end);
    return (
      (start === 0 || ahead.readUInt32LE() === SIGNATURE.descriptor) &&
      ahead.readUInt32LE(start) === measured.crc32 &&
      read(start + 4) === measured.compressedBytes &&
      read(start + 4 + width) === measured.rawBytes &&
      (following === SIGNATURE.localHeader || following === SIGNATURE.directoryHeader)
    );
  });
  if (!fitting) {
    throw new ArchiveDamagedError(
      name,
      method === METHOD.stored && announced === 0
        ? 'is stored without its size being said first; compress it, or write the zip to a file'
        : 'checksum or sizes of its bytes differ from what stands behind them',
    );
  }
  await takeBytes(reader, fitting.start + 4 + 2 * fitting.width);
}
