/** Keras divides by no less than 1e-7; under the root, that is this. */
const SMALLEST = 1e-14;

/** What the BatchNormalization that stands for a Normalization adds to each variance. */
export const NORMALIZATION_EPSILON = SMALLEST;

/**
 * Variances of a Normalization, float32, as the BatchNormalization in its place needs them: with
 * what it adds, each is the larger of the variance and the smallest that Keras divides by.
 */
export function floorVariances(bytes: Uint8Array): Uint8Array {
  // A copy, where floats stand at multiples of four; `slice` of a Buffer would be none.
  const variances = new Float32Array(Uint8Array.from(bytes).buffer);
  variances.forEach((variance, index) => {
    variances[index] = Math.max(variance, SMALLEST) - NORMALIZATION_EPSILON;
  });
  return new Uint8Array(variances.buffer);
}

/** The same for bytes that come in pieces, cut anywhere. */
export class VarianceFloor {
  private rest: Uint8Array = new Uint8Array(0);

  push(piece: Uint8Array): Uint8Array {
    const bytes = Buffer.concat([this.rest, piece]);
    const whole = bytes.length - (bytes.length % 4);
    this.rest = bytes.subarray(whole);
    return floorVariances(bytes.subarray(0, whole));
  }
}
