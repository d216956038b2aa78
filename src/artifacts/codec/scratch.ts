/** More than that is not kept between uses. */
const KEPT_BYTES = 8 * 1024 * 1024;

/** Memory of the calling thread for what is needed for a moment: fresh memory would cost more. */
export class Scratch {
  private kept = new Uint8Array(0);

  /** Of that length, with anything in it, and only until the next call. */
  take(length: number): Uint8Array<ArrayBuffer> {
    if (length > KEPT_BYTES) return new Uint8Array(length);
    if (this.kept.length < length) this.kept = new Uint8Array(length);
    return this.kept.subarray(0, length);
  }
}
