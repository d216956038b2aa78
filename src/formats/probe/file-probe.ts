import { PickleWalker } from '../pickle/pickle-walker';
import { isLikelyPickle, type PickleReport, reportPickle } from '../pickle/pickle-report';
import { OnnxScan } from '../onnx/onnx-scan';
import { WalkAllowance } from '../onnx/proto-walk';
import { FILE_KINDS, type FileTraits } from './file-kind';
import { InflatedWalk } from './inflated-walk';
import { namesTopology } from './names-topology';
import { isOnnx, recogniseHead } from './recognise-head';
import { TailBuffer } from './tail-buffer';
import { isZip, listZip } from './zip-listing';
import { notesOfZip } from './zip-notes';
import { ZipWalk } from './zip-walk';

/** What of a file's beginning is looked at; of a zip, its end as well. */
export const HEAD_BYTES = 64 * 1024;

/** Compressions that joblib can write and that are not unpacked here. */
const COMPRESSED: readonly (readonly [string, readonly number[]])[] = [
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['lz4', [0x04, 0x22, 0x4d, 0x18]],
];

type Scan =
  | { readonly kind: 'binary' | 'guess'; readonly walker: PickleWalker }
  | { readonly kind: 'inflated'; readonly walk: InflatedWalk }
  | { readonly kind: 'zip'; readonly walk: ZipWalk };

/**
 * Watches one file stream by and tells what it is, from its content and never from its name.
 *
 * Holds its first and last 64 KiB and what a walk through a pickle needs; gives out a few words.
 * Nothing of the file is run, and nothing that is wrong with it stops the upload.
 */
export class FileProbe {
  private readonly first = Buffer.allocUnsafe(HEAD_BYTES);
  private readonly last = new TailBuffer();
  private bytes = 0;
  private scan: Scan | null = null;
  private onnx: OnnxScan | null = null;
  private hasLooked = false;

  /** @param allowance that all files of one upload share */
  constructor(private readonly allowance = new WalkAllowance()) {}

  async push(piece: Uint8Array): Promise<void> {
    const missing = Math.max(0, HEAD_BYTES - this.bytes);
    this.first.set(piece.subarray(0, missing), HEAD_BYTES - missing);
    this.bytes += piece.length;
    if (this.bytes < HEAD_BYTES) return;
    if (!this.hasLooked) await this.look();
    await this.follow(piece.subarray(missing));
  }

  async finish(): Promise<FileTraits> {
    if (!this.hasLooked) await this.look();
    const { head, bytes } = this;
    const traits = await this.recognise(head, bytes);
    if (traits.kind === 'onnx' && this.onnx) return { ...traits, onnx: this.onnx.finish() };
    return namesTopology(head) ? { ...traits, namesTopology: true } : traits;
  }

  private get head(): Uint8Array {
    return this.first.subarray(0, Math.min(this.bytes, HEAD_BYTES));
  }

  private async recognise(head: Uint8Array, bytes: number): Promise<FileTraits> {
    const { scan } = this;
    if (scan?.kind === 'zip') return await this.recogniseZip(scan.walk);
    if (scan?.kind === 'binary') return ofPickle(reportPickle(scan.walker.finish()));
    if (scan?.kind === 'inflated') return await recogniseInflated(scan.walk);
    const kind = recogniseHead(head, bytes);
    const guessed = scan?.kind === 'guess' ? scan.walker.finish() : null;
    if (guessed && isLikelyPickle(guessed)) {
      const report = reportPickle(guessed);
      if (kind === null) return ofPickle(report);
      return { kind, notes: ['can be read as a Python pickle as well', ...report.notes] };
    }
    if (kind !== null) return { kind, notes: [] };
    const compression = COMPRESSED.find(([, magic]) =>
      magic.every((byte, at) => head[at] === byte),
    );
    return {
      kind: null,
      notes: compression
        ? [`is compressed with ${compression[0]}; what is inside was not seen`]
        : [],
    };
  }

  private async recogniseZip(walk: ZipWalk): Promise<FileTraits> {
    const listed = listZip(this.last.bytes(), this.bytes);
    const names = [...walk.names, ...listed.map(({ name }) => name)];
    const has = (pattern: RegExp): boolean => names.some((name) => pattern.test(name));
    const notes = await notesOfZip(walk, listed);
    if (has(/^model\.weights\.h5$/) && has(/^config\.json$/))
      return { kind: 'keras-archive', notes };
    if (!has(/(?:^|\/)data\.pkl$/i)) return { kind: null, notes };
    return { kind: has(/(?:^|\/)(?:constants\.pkl|code\/)/) ? 'torchscript' : 'torch', notes };
  }

  /** Decides by the head whether the rest is worth following. */
  private async look(): Promise<void> {
    this.hasLooked = true;
    const { head } = this;
    if (isOnnx(head, Infinity)) {
      this.onnx = new OnnxScan(this.allowance);
      this.onnx.push(head);
    }
    const [first = 0, second = 0] = head;
    if (isZip(head)) {
      const walk = new ZipWalk();
      this.scan = { kind: 'zip', walk };
      this.last.push(head);
      await walk.push(head);
    } else if (first === 0x80 && second <= 5 && head.length > 1) {
      this.begin('binary', head);
    } else if ((first === 0x1f && second === 0x8b) || (first === 0x78 && isZlib(first, second))) {
      const walk = new InflatedWalk(first === 0x1f ? 'gzip' : 'zlib');
      this.scan = { kind: 'inflated', walk };
      await walk.push(head);
    } else if (head.length > 0) {
      // Most files end such a walk with their first bytes.
      this.begin('guess', head);
    }
  }

  private begin(kind: 'binary' | 'guess', bytes: Uint8Array): void {
    const walker = new PickleWalker();
    walker.push(bytes);
    this.scan = { kind, walker };
  }

  private async follow(piece: Uint8Array): Promise<void> {
    if (piece.length === 0) return;
    this.onnx?.push(piece);
    if (this.last.isUsed) this.last.push(piece);
    const { scan } = this;
    if (scan?.kind === 'inflated' || scan?.kind === 'zip') await scan.walk.push(piece);
    else scan?.walker.push(piece);
  }
}

async function recogniseInflated(walk: InflatedWalk): Promise<FileTraits> {
  await walk.finish();
  const { cutShort } = walk;
  const findings = walk.walker.finish();
  if (!walk.saysPickle && !isLikelyPickle(findings)) {
    const isUnseen = cutShort !== null && walk.isEmpty;
    return { kind: null, notes: isUnseen ? [`was not looked into: ${cutShort}`] : [] };
  }
  const report = reportPickle(
    cutShort === null ? findings : { ...findings, damage: null, incomplete: cutShort },
  );
  return ofPickle(report);
}

function ofPickle({ notes, framework, isJoblib }: PickleReport): FileTraits {
  const kind = isJoblib ? 'joblib' : 'pickle';
  return { kind, framework: framework ?? FILE_KINDS[kind].framework, notes };
}

/** The check of a zlib header: both bytes together are a multiple of 31. */
function isZlib(first: number, second: number): boolean {
  return (first * 256 + second) % 31 === 0;
}
