import { isNativeError } from 'node:util/types';
import { createGunzip, createInflateRaw, type Gunzip, type InflateRaw } from 'node:zlib';

import { ArchiveDamagedError } from './parts.errors';

const OPTIONS = { chunkSize: 64 * 1024 };
const NOTHING: Buffer = Buffer.alloc(0);

type NextPiece = () => Promise<Buffer | undefined>;

/** Unpacks a whole gzip file; anything behind its end is damage. */
export async function* gunzip(next: NextPiece): AsyncGenerator<Buffer> {
  const rest = yield* unpack(createGunzip(OPTIONS), next, '');
  if (rest.length > 0) {
    throw new ArchiveDamagedError('', 'there are bytes after the end of the gzip data');
  }
}

/** Unpacks raw deflate data, which knows its own end; returns what was pulled from behind it. */
export async function* inflateRaw(next: NextPiece, path: string): AsyncGenerator<Buffer, Buffer> {
  return yield* unpack(createInflateRaw(OPTIONS), next, path);
}

/**
 * Runs pieces through a zlib stream, which does its work on the thread pool.
 *
 * One piece is in the engine at a time and the next is pulled only when it has been used up, so
 * input waits for whoever takes the output.
 */
async function* unpack(
  engine: Gunzip | InflateRaw,
  next: NextPiece,
  path: string,
): AsyncGenerator<Buffer, Buffer> {
  let rest = NOTHING;
  const feed = async (): Promise<void> => {
    try {
      for (let piece = await next(); piece; piece = await next()) {
        const before = engine.bytesWritten;
        await write(engine, piece);
        const used = engine.bytesWritten - before;
        if (used < piece.length) {
          rest = piece.subarray(used);
          return;
        }
      }
      engine.end();
    } catch (error) {
      engine.destroy(error as Error);
    }
  };
  const fed = feed();
  try {
    for await (const piece of engine) yield piece as Buffer;
    await fed;
    return rest;
  } catch (error) {
    throw isZlibError(error)
      ? new ArchiveDamagedError(path, `the compressed data is damaged: ${error.message}`, error)
      : error;
  } finally {
    engine.destroy();
  }
}

/** Settles when the engine has used the piece up, came to the end of its data, or failed. */
async function write(engine: Gunzip | InflateRaw, piece: Buffer): Promise<void> {
  await new Promise<void>((resolve) => {
    const settle = (): void => {
      engine.off('end', settle).off('close', settle);
      resolve();
    };
    // At the end of its data an engine never calls back for the piece that holds more.
    engine.once('end', settle).once('close', settle);
    engine.write(piece, settle);
  });
}

function isZlibError(error: unknown): error is Error {
  return isNativeError(error) && 'code' in error && String(error.code).startsWith('Z_');
}
