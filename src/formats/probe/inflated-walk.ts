import {
  createGunzip,
  createInflate,
  createInflateRaw,
  type Gunzip,
  type Inflate,
  type InflateRaw,
} from 'node:zlib';

import { PickleWalker } from '../pickle/pickle-walker';

/** Inflated bytes that are looked at; a few kilobytes can hold gigabytes of nothing. */
const MAX_INFLATED_BYTES = 1024 * 1024 * 1024;

const INFLATE = { gzip: createGunzip, zlib: createInflate, deflate: createInflateRaw };

/**
 * Walks through a pickle inside a compressed stream, as joblib writes it, a few kilobytes at a
 * time. What turns out to be something else is not inflated further.
 */
export class InflatedWalk {
  readonly walker = new PickleWalker();
  /** Whether what was inflated begins as most pickles do. */
  saysPickle = false;
  /** Why not everything was inflated. */
  cutShort: string | null = null;
  private inflated = 0;
  private done = false;
  private readonly stream: Inflate | InflateRaw | Gunzip;

  constructor(form: keyof typeof INFLATE) {
    this.stream = INFLATE[form]();
    this.stream.on('data', (piece: Buffer) => {
      this.take(piece);
    });
    this.stream.on('error', () => {
      if (!this.done) this.cutShort = 'it is compressed, and the compressed bytes are damaged';
      this.done = true;
    });
    this.stream.on('end', () => {
      this.done = true;
    });
  }

  get isEmpty(): boolean {
    return this.inflated === 0;
  }

  async push(piece: Uint8Array): Promise<void> {
    if (this.done) return;
    await this.untilClosedOr((written) => {
      this.stream.write(piece, written);
    });
  }

  async finish(): Promise<void> {
    if (!this.done) {
      await this.untilClosedOr(() => {
        this.stream.end();
      });
    }
    this.stream.destroy();
  }

  /** A stream that fails or is destroyed on the way forgets the callbacks of what was written. */
  private async untilClosedOr(begin: (done: () => void) => void): Promise<void> {
    if (this.stream.closed) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.stream.off('close', done);
        resolve();
      };
      this.stream.once('close', done);
      begin(done);
    });
  }

  private take(piece: Buffer): void {
    if (this.done) return;
    if (this.inflated === 0) this.saysPickle = piece[0] === 0x80;
    this.inflated += piece.length;
    if (this.inflated > MAX_INFLATED_BYTES) {
      this.cutShort = `only the first ${MAX_INFLATED_BYTES} bytes of it were unpacked`;
      this.end();
    } else {
      this.walker.push(piece);
      if (this.walker.isOver) this.end();
    }
  }

  private end(): void {
    this.done = true;
    this.stream.destroy();
  }
}
