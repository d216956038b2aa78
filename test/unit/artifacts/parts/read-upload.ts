import { Readable } from 'node:stream';

import { type PartLimits } from '../../../../src/artifacts/parts/admission';
import { readParts, type UploadRequest } from '../../../../src/artifacts/parts/read-parts';
import { StoreError } from '../../../../src/common/errors';

export const LIMITS: PartLimits = { maxBytes: 1e6, maxParts: 100, maxFieldBytes: 1000 };

/** Bytes as a network brings them: in pieces that know nothing of the format. */
export function inPieces(bytes: Buffer, pieceBytes = 64 * 1024): Readable {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    pieces.push(bytes.subarray(at, at + pieceBytes));
  }
  return Readable.from(pieces, { objectMode: false });
}

export interface ReadOptions extends Omit<Partial<UploadRequest>, 'body'> {
  readonly limits?: Partial<PartLimits>;
  readonly pieceBytes?: number;
}

/** Every file of an upload by its path, and its text fields. */
export async function readUpload(
  contentType: string,
  body: Buffer | Readable,
  { limits, pieceBytes, ...request }: ReadOptions = {},
): Promise<{ files: Record<string, Buffer>; fields: Record<string, string> }> {
  const reader = readParts(
    { contentType, body: Buffer.isBuffer(body) ? inPieces(body, pieceBytes) : body, ...request },
    { ...LIMITS, ...limits },
  );
  const files: Record<string, Buffer> = {};
  for await (const part of reader) {
    const pieces: Uint8Array[] = [];
    for await (const piece of part.body) pieces.push(piece);
    files[part.path] = Buffer.concat(pieces);
  }
  return { files, fields: Object.fromEntries(reader.fields) };
}

/** How an upload fails: kind, code, and the faults or else the message. */
export async function refusalOf(
  ...upload: Parameters<typeof readUpload>
): Promise<{ kind: string; code: string; says: string }> {
  try {
    await readUpload(...upload);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const faults = error.details['faults'] as { path: string; message: string }[] | undefined;
    return {
      kind: error.kind,
      code: error.code,
      says: faults?.map(({ path, message }) => `${path}: ${message}`).join('\n') ?? error.message,
    };
  }
  throw new TypeError('the upload was taken');
}
