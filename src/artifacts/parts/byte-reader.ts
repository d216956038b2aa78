const NOTHING: Buffer = Buffer.alloc(0);

/** Reads a stream of pieces in the portions that a format asks for, and knows how far it has come. */
export class ByteReader {
  private readonly pieces: AsyncIterator<Buffer>;
  private ahead = NOTHING;
  private taken = 0;

  constructor(source: AsyncIterable<Buffer>) {
    this.pieces = source[Symbol.asyncIterator]();
  }

  /** Bytes handed out so far. */
  get position(): number {
    return this.taken;
  }

  /** The next piece, of at most `maxBytes` and never empty; undefined at the end. */
  async next(maxBytes = Number.POSITIVE_INFINITY): Promise<Buffer | undefined> {
    if ((await this.peek(1)).length === 0) return undefined;
    return this.take(Math.min(maxBytes, this.ahead.length));
  }

  /** The next `bytes` without taking them; fewer only at the end. Meant for headers. */
  async peek(bytes: number): Promise<Buffer> {
    while (this.ahead.length < bytes) {
      const read = await this.pieces.next();
      if (read.done === true) break;
      this.ahead = this.ahead.length === 0 ? read.value : Buffer.concat([this.ahead, read.value]);
    }
    return this.ahead.subarray(0, bytes);
  }

  /** The next `bytes`; undefined when the end comes first. */
  async exactly(bytes: number): Promise<Buffer | undefined> {
    return (await this.peek(bytes)).length < bytes ? undefined : this.take(bytes);
  }

  /** Puts the end of the piece taken last back in front. */
  giveBack(rest: Buffer): void {
    this.taken -= rest.length;
    this.ahead = this.ahead.length === 0 ? rest : Buffer.concat([rest, this.ahead]);
  }

  private take(bytes: number): Buffer {
    const head = this.ahead.subarray(0, bytes);
    this.ahead = this.ahead.subarray(bytes);
    this.taken += bytes;
    return head;
  }
}
