/**
 * Runs pieces of asynchronous work one after the other, in the order in which they came.
 *
 * TensorFlow.js keeps its scopes on one global stack: two pieces that interleave would dispose
 * each other's tensors.
 */
export class OneAtATime {
  private last: Promise<unknown> = Promise.resolve();

  async run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work);
    this.last = result.catch(() => undefined);
    return await result;
  }
}
