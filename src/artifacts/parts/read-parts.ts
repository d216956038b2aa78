import { type Readable } from 'node:stream';

import { InvalidInputError } from '../../common/errors';
import { Admission, type Member, type PartLimits } from './admission';
import { ByteReader } from './byte-reader';
import { multipartMembers, requireBoundary } from './multipart-members';
import { UploadTooLargeError, UploadTypeError } from './parts.errors';
import { tapBody } from './request-tap';
import { tarMembers } from './tar-members';
import { gunzip } from './unpack';
import { zipMembers } from './zip-members';

/** What packing adds to the files: headers, padding, boundaries, a directory at the end. */
const PACKING_BYTES_PER_PART = 4 * 1024;
const PACKING_BYTES = 1024 * 1024;

const QUOTED_CHARACTERS = 200;

const CONTAINERS: ReadonlyMap<string, 'form' | 'tar' | 'tar.gz' | 'zip' | 'file'> = new Map([
  ['multipart/form-data', 'form'],
  ['application/x-tar', 'tar'],
  ['application/gzip', 'tar.gz'],
  ['application/x-gzip', 'tar.gz'],
  ['application/x-gtar', 'tar.gz'],
  ['application/tar+gzip', 'tar.gz'],
  ['application/zip', 'zip'],
  ['application/x-zip-compressed', 'zip'],
  ['application/octet-stream', 'file'],
]);

/** One file of an upload, to be consumed before the next is asked for. */
export interface UploadPart {
  /** A path that passed `checkArtifactPath`, and that no other part has. */
  readonly path: string;
  /** What is not read of it is skipped when the next part is asked for. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** What a part reader needs to know of a request. */
export interface UploadRequest {
  readonly contentType: string | undefined;
  readonly contentEncoding?: string | undefined;
  readonly contentLength?: number | undefined;
  /** The path of an `application/octet-stream` body. */
  readonly filename?: string | undefined;
  /** Fields of a form that are text: sent as a file, they are refused. */
  readonly textFields?: readonly string[];
  readonly body: Readable;
}

/**
 * The files of one upload, in the order of the upload; to be iterated once.
 *
 * Nothing is kept: a part waits until it is read, and the sender waits with it. However the
 * iteration ends, the request is let go of, unread but whole, so that it can still be answered.
 *
 * A zip proves only at its end that what it said on the way was true, and so does a checksum:
 * no part counts as received before the iteration has ended by itself.
 */
export interface UploadReader extends AsyncIterable<UploadPart> {
  /** Text fields of a form, as far as they have come; complete once the iteration has ended. */
  readonly fields: ReadonlyMap<string, string>;
}

/**
 * Takes an upload apart by what its content type says it is.
 *
 * @throws UploadTypeError for a type or an encoding that is not taken
 * @throws UploadTooLargeError for a body whose announced length is over the limit
 * @throws MultipartSyntaxError for a form without a usable boundary
 */
export function readParts(request: UploadRequest, limits: PartLimits): UploadReader {
  const { contentType = '', contentEncoding = '', contentLength = 0 } = request;
  if (contentEncoding !== '' && contentEncoding.toLowerCase() !== 'identity') {
    throw new UploadTypeError('An upload is taken only without a Content-Encoding', {
      contentEncoding: contentEncoding.slice(0, QUOTED_CHARACTERS),
    });
  }
  const maxBodyBytes = limits.maxBytes + limits.maxParts * PACKING_BYTES_PER_PART + PACKING_BYTES;
  const fields = new Map<string, string>();
  const membersOf = unpackerOf(contentType, request, limits, maxBodyBytes, fields);
  if (contentLength > maxBodyBytes) throw new UploadTooLargeError(limits.maxBytes);
  return {
    fields,
    [Symbol.asyncIterator]: () =>
      partsOf(() => tapBody(request.body, maxBodyBytes), membersOf, new Admission(limits)),
  };
}

type Unpacker = (source: Readable) => AsyncIterable<Member>;

function unpackerOf(
  contentType: string,
  { filename = '', textFields = [] }: UploadRequest,
  limits: PartLimits,
  maxBodyBytes: number,
  fields: Map<string, string>,
): Unpacker {
  const mediaType = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  switch (CONTAINERS.get(mediaType)) {
    case 'form':
      requireBoundary(contentType);
      return (source) => multipartMembers(source, contentType, limits, fields, textFields);
    case 'tar':
      return (source) => tarMembers(source);
    case 'tar.gz':
      return (source) => {
        const packed = new ByteReader(source);
        const unpacked = gunzip(() => packed.next());
        // The tap has counted the packed bytes; these come out of thin air.
        return tarMembers(withLimit(unpacked, maxBodyBytes, limits.maxBytes));
      };
    case 'zip':
      return (source) => zipMembers(new ByteReader(source));
    case 'file':
      if (filename === '') {
        throw new InvalidInputError('A single file needs a name', [
          { path: 'filename', message: 'say which path it has, as in ?filename=model.keras' },
        ]);
      }
      return (source) => singleFile(source, filename);
    case undefined:
      throw new UploadTypeError('An upload of this content type is not taken', {
        contentType: mediaType.slice(0, QUOTED_CHARACTERS),
        accepted: [...CONTAINERS.keys()],
      });
  }
}

/** Applies the rules to each member and hands on the files among them, one at a time. */
async function* partsOf(
  openBody: () => Readable,
  membersOf: Unpacker,
  admission: Admission,
): AsyncGenerator<UploadPart> {
  const source = openBody();
  try {
    for await (const member of membersOf(source)) {
      const path = admission.admit(member);
      const pieces = metered(member, admission);
      let whole = false;
      try {
        // Without a `return`, whoever stops early leaves the rest of this part to be skipped here.
        if (path !== undefined) {
          yield { path, body: { [Symbol.asyncIterator]: () => ({ next: () => pieces.next() }) } };
        }
        while ((await pieces.next()).done !== true);
        whole = true;
      } finally {
        if (!whole) {
          // In this order: a read that waits for bytes can only end with the source.
          source.destroy();
          await pieces.return(undefined);
        }
      }
    }
  } finally {
    source.destroy();
  }
}

async function* metered(member: Member, admission: Admission): AsyncGenerator<Uint8Array> {
  for await (const piece of member.body) {
    admission.spend(piece.length);
    yield piece;
  }
}

async function* withLimit(
  pieces: AsyncIterable<Buffer>,
  maxPieceBytes: number,
  maxBytes: number,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const piece of pieces) {
    bytes += piece.length;
    if (bytes > maxPieceBytes) throw new UploadTooLargeError(maxBytes);
    yield piece;
  }
}

// eslint-disable-next-line @typescript-eslint/require-await -- one of several async sources
async function* singleFile(source: Readable, name: string): AsyncGenerator<Member> {
  yield { name, kind: 'file', body: source };
}
