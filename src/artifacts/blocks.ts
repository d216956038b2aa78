/** Regroups pieces of any size into blocks of the given lengths, without copying where a block lies in one piece. */
export async function* takeBlocks(
  pieces: AsyncIterable<Uint8Array>,
  lengths: readonly number[],
): AsyncGenerator<Uint8Array> {
  let index = 0;
  let partial: Uint8Array | undefined;
  let filled = 0;
  for await (const piece of pieces) {
    let at = 0;
    while (at < piece.length && index < lengths.length) {
      const length = lengths[index] ?? 0;
      const take = Math.min(length - filled, piece.length - at);
      if (!partial && take === length) {
        yield piece.subarray(at, at + take);
        index++;
      } else {
        partial ??= new Uint8Array(length);
        partial.set(piece.subarray(at, at + take), filled);
        filled += take;
        if (filled === length) {
          yield partial;
          partial = undefined;
          filled = 0;
          index++;
        }
      }
      at += take;
    }
  }
}

/** Cuts or joins pieces into blocks of `size` bytes that own their memory; the last may be shorter. */
export async function* cutBlocks(
  pieces: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array> {
  let block: Uint8Array | undefined;
  let filled = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      block ??= new Uint8Array(size);
      const take = Math.min(size - filled, piece.length - at);
      block.set(piece.subarray(at, at + take), filled);
      filled += take;
      at += take;
      if (filled === size) {
        yield block;
        block = undefined;
        filled = 0;
      }
    }
  }
  if (block && filled > 0) yield block.slice(0, filled);
}

/** Runs `work` on up to `ahead` items at once and yields the results in the order of the items. */
export async function* mapAhead<T, R>(
  items: AsyncIterable<T>,
  ahead: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const underWay: Promise<R>[] = [];
  try {
    for await (const item of items) {
      underWay.push(work(item));
      if (underWay.length >= ahead) {
        const next = underWay.shift();
        if (next) yield await next;
      }
    }
    for (let next = underWay.shift(); next; next = underWay.shift()) yield await next;
  } finally {
    // Whoever stops listening early must not leave a failure that nobody handles.
    await Promise.allSettled(underWay);
  }
}
