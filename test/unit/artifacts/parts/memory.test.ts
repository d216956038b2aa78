import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { crc32, createDeflateRaw } from 'node:zlib';

import { readParts } from '../../../../src/artifacts/parts/read-parts';
import { LIMITS } from './read-upload';
import { tarHeader } from './tar-header';
import { forgeZip } from './zip-forge';

const PIECE_BYTES = 64 * 1024;
const PIECES = 4800;
const FILE_BYTES = PIECES * PIECE_BYTES;
const MB = 1024 * 1024;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Each piece has memory of its own: one that is kept too long must show. */
function* zeros(): Generator<Buffer> {
  for (let piece = 0; piece < PIECES; piece++) yield Buffer.alloc(PIECE_BYTES);
}

function* formOfZeros(): Generator<Buffer> {
  yield Buffer.from('--frontier\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n');
  yield* zeros();
  yield Buffer.from('\r\n--frontier--\r\n');
}

function* tarOfZeros(): Generator<Buffer> {
  yield tarHeader('a', FILE_BYTES);
  yield* zeros();
  yield Buffer.alloc(1024);
}

async function zipOfZeros(): Promise<Buffer> {
  const packed: Buffer[] = [];
  const deflated = Readable.from(zeros(), { objectMode: false }).pipe(createDeflateRaw());
  for await (const piece of deflated) packed.push(piece as Buffer);
  let crc = 0;
  for (const piece of zeros()) crc = crc32(piece, crc);
  return forgeZip([{ name: 'a', packed: Buffer.concat(packed), crc, rawBytes: FILE_BYTES }]);
}

/** Reads an upload more slowly than it could come; returns its bytes and how far memory grew. */
async function readSlowly(
  contentType: string,
  pieces: Iterable<Buffer>,
): Promise<{ bytes: number; grownBytes: number }> {
  const inUse = (): number => {
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const body = Readable.from(pieces, { objectMode: false });
  const before = inUse();
  let bytes = 0;
  let mostBytes = before;
  let nextLook = 0;
  for await (const part of readParts({ contentType, body }, { ...LIMITS, maxBytes: 1e9 })) {
    for await (const piece of part.body) {
      bytes += piece.length;
      await new Promise(setImmediate);
      if (bytes < nextLook) continue;
      mostBytes = Math.max(mostBytes, inUse());
      nextLook += 10 * MB;
    }
  }
  return { bytes, grownBytes: mostBytes - before };
}

describe('memory', () => {
  it.each([
    ['a form', 'multipart/form-data; boundary=frontier', formOfZeros],
    ['a tar', 'application/x-tar', tarOfZeros],
    ['a zip', 'application/zip', async () => [await zipOfZeros()]],
  ])('does not grow with the bytes of %s', async (_kind, contentType, makeBody) => {
    const { bytes, grownBytes } = await readSlowly(contentType, await makeBody());

    expect(bytes).toBe(FILE_BYTES);
    expect(grownBytes).toBeLessThan(16 * MB);
  });
});
