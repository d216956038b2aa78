import { isNativeError } from 'node:util/types';

import { extract as createExtract, type Extract, type Header } from 'tar-stream';

import { StoreError } from '../../common/errors';
import { type Member } from './admission';
import { ArchiveDamagedError, MemberRefusedError } from './parts.errors';

const RECORD_BYTES = 512;

type Entry = Extract extends AsyncIterable<infer Source> ? Source : never;

/** What the headers hold besides their published type. */
interface FullHeader extends Omit<Header, 'type'> {
  readonly type: Header['type'] | null;
  /** Where in the tar the member's bytes begin. */
  readonly byteOffset: number;
}

/**
 * The members of a tar, in its order.
 *
 * Only regular files and folders are let through. A tar must end with its end marker, so one that
 * was cut off between two members is told from a whole one.
 */
export async function* tarMembers(source: AsyncIterable<Buffer>): AsyncGenerator<Member> {
  const extract = createExtract();
  // Why the source broke: whoever reads on is only told that the reader was destroyed.
  const broken: Broken = {};
  const fed = feed(source, extract, broken);
  let name = '';
  let endOfMembers = 0;
  try {
    for await (const entry of extract) {
      const header = entry.header as FullHeader;
      const { size } = header;
      name = header.name;
      yield { name, kind: kindOf(header), declaredBytes: size, body: bodyOf(entry, name, broken) };
      endOfMembers = header.byteOffset + Math.ceil(size / RECORD_BYTES) * RECORD_BYTES;
    }
    if ((await fed) < endOfMembers + RECORD_BYTES) {
      throw new ArchiveDamagedError(name, 'the tar ends here without its end marker');
    }
  } catch (error) {
    throw translate(broken.error ?? error, name);
  } finally {
    extract.destroy(null);
  }
}

/** Writes the source into the reader at the pace of whoever reads the members; returns its length. */
async function feed(
  source: AsyncIterable<Buffer>,
  extract: Extract,
  broken: Broken,
): Promise<number> {
  let bytes = 0;
  try {
    for await (const piece of source) {
      bytes += piece.length;
      if (!extract.write(piece)) await drained(extract);
      if (extract.destroyed) return bytes;
    }
    extract.end(null);
  } catch (error) {
    // Reaches the reader of the members, or of the bytes of one.
    broken.error = error;
    extract.destroy(error as Error);
  }
  return bytes;
}

async function drained(extract: Extract): Promise<void> {
  await new Promise<void>((resolve) => {
    const settle = (): void => {
      extract.off('drain', settle).off('close', settle);
      resolve();
    };
    extract.once('drain', settle).once('close', settle);
  });
}

async function* bodyOf(entry: Entry, name: string, broken: Broken): AsyncGenerator<Buffer> {
  try {
    for await (const piece of entry) yield piece as Buffer;
  } catch (error) {
    throw translate(broken.error ?? error, name);
  }
}

interface Broken {
  error?: unknown;
}

function kindOf({ name, type, size, pax }: FullHeader): Member['kind'] {
  if (
    typeof pax === 'object' &&
    pax &&
    Object.keys(pax).some((key) => key.startsWith('GNU.sparse.'))
  ) {
    throw new MemberRefusedError(name, 'is a sparse file; pack it with its holes filled in');
  }
  // Before there was a type for folders, a slash at the end of the name said it.
  if (type === 'directory' || (type === 'file' && name.endsWith('/'))) {
    if (size > 0) throw new MemberRefusedError(name, 'is a folder with contents of its own');
    return 'folder';
  }
  if (type === 'file' || type === 'contiguous-file') return 'file';
  throw new MemberRefusedError(
    name,
    `is of the kind ${type ?? 'unknown'}; only regular files and folders are taken`,
  );
}

function translate(error: unknown, name: string): unknown {
  if (error instanceof StoreError || !isNativeError(error)) return error;
  if (error.message === 'Unexpected end of data') {
    return new ArchiveDamagedError(name, 'the tar is cut off here', error);
  }
  if (/^(?:Invalid (?:tar )?header|Header exceeds)/.test(error.message)) {
    return new ArchiveDamagedError(
      name,
      name === '' ? 'this is no tar' : 'what follows this member is no tar header',
      error,
    );
  }
  return error;
}
