/** How much of a file's end is kept. */
const TAIL_BYTES = 64 * 1024;

/** The last bytes of a stream, at a cost that does not depend on how small its pieces are. */
export class TailBuffer {
  private held: Uint8Array = new Uint8Array(0);
  private length = 0;

  get isUsed(): boolean {
    return this.length > 0;
  }

  push(piece: Uint8Array): void {
    if (this.held.length === 0) this.held = new Uint8Array(2 * TAIL_BYTES);
    const added = piece.subarray(-TAIL_BYTES);
    if (this.length + added.length > this.held.length) {
      this.held.copyWithin(0, this.length - TAIL_BYTES, this.length);
      this.length = TAIL_BYTES;
    }
    this.held.set(added, this.length);
    this.length += added.length;
  }

  bytes(): Uint8Array {
    return this.held.subarray(Math.max(0, this.length - TAIL_BYTES), this.length);
  }
}
