import { type PickleFindings, PickleWalker } from '../pickle/pickle-walker';
import { InflatedWalk } from './inflated-walk';

const LOCAL_HEADER = Buffer.from([0x50, 0x4b, 0x03, 0x04]);
const HEADER_BYTES = 30;
/** Longest name and longest extra field of a member that is looked at. */
const MAX_FIELD_BYTES = 4096;
const MAX_MEMBERS = 10_000;
/** Pickles in one archive that are walked through. */
const MAX_PICKLES = 8;
const decoder = new TextDecoder();

/** A pickle in a zip, by its own header. */
interface PickleMember {
  readonly name: string;
  readonly offset: number;
  readonly walk: PickleWalker | InflatedWalk | null;
}

/**
 * Finds the pickles of a zip while it streams by, and walks through them.
 *
 * It goes by the headers in front of the members, wherever one begins: writers leave out sizes
 * there, and a directory at the end may point at any of them.
 */
export class ZipWalk {
  readonly pickles: PickleMember[] = [];
  readonly names: string[] = [];
  /** Whether there are more members or pickles than are followed. */
  hasMore = false;
  private pending: Buffer = Buffer.alloc(0);
  /** Where in the file `pending` begins. */
  private position = 0;

  async push(piece: Uint8Array): Promise<void> {
    for (const { walk } of this.pickles) await feed(walk, piece);
    const bytes = Buffer.concat([this.pending, piece]);
    let at = 0;
    for (;;) {
      const found = bytes.indexOf(LOCAL_HEADER, at);
      at = found < 0 ? Math.max(at, bytes.length - LOCAL_HEADER.length + 1) : found;
      if (found < 0 || !(await this.enter(bytes, found))) break;
      at = found + LOCAL_HEADER.length;
    }
    this.position += at;
    // A copy: the piece belongs to whoever gave it.
    this.pending = Buffer.from(bytes.subarray(at));
  }

  /** What the walks have found; null for a pickle that was not walked through. */
  async finish(): Promise<(PickleFindings | null)[]> {
    const all: (PickleFindings | null)[] = [];
    for (const { walk } of this.pickles) {
      if (walk instanceof InflatedWalk) {
        await walk.finish();
        const findings = walk.walker.finish();
        const { cutShort } = walk;
        all.push(cutShort === null ? findings : { ...findings, incomplete: cutShort });
      } else {
        all.push(walk?.finish() ?? null);
      }
    }
    return all;
  }

  /** @returns false when the header has not come whole yet */
  private async enter(bytes: Buffer, at: number): Promise<boolean> {
    if (at + HEADER_BYTES > bytes.length) return false;
    const method = bytes.readUInt16LE(at + 8);
    const nameBytes = bytes.readUInt16LE(at + 26);
    const extraBytes = bytes.readUInt16LE(at + 28);
    if (nameBytes > MAX_FIELD_BYTES || extraBytes > MAX_FIELD_BYTES) {
      this.hasMore = true;
      return true;
    }
    const start = at + HEADER_BYTES + nameBytes + extraBytes;
    if (start > bytes.length) return false;
    const name = decoder.decode(bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + nameBytes));
    if (this.names.length < MAX_MEMBERS) this.names.push(name);
    if (!isPickleName(name)) return true;
    if (this.pickles.length >= MAX_PICKLES) {
      this.hasMore = true;
      return true;
    }
    const walk =
      method === 0 ? new PickleWalker() : method === 8 ? new InflatedWalk('deflate') : null;
    this.pickles.push({ name, offset: this.position + at, walk });
    await feed(walk, bytes.subarray(start));
    return true;
  }
}

/** Also in capitals: PyTorch finds its pickle by a name in any case. */
export function isPickleName(name: string): boolean {
  return /\.pkl$/i.test(name);
}

async function feed(walk: PickleWalker | InflatedWalk | null, piece: Uint8Array): Promise<void> {
  await walk?.push(piece);
}
