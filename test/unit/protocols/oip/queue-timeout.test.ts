import { QueueTimeout } from '../../../../src/protocols/oip/queue-timeout';

/** Resolves when the signal says that the wait is over. */
const ended = async (waiting: QueueTimeout): Promise<void> => {
  await new Promise<void>((resolve) => {
    waiting.signal.addEventListener('abort', resolve);
  });
};

describe('QueueTimeout', () => {
  it('ends the wait when time runs out, and says that it was time', async () => {
    const waiting = new QueueTimeout(new AbortController().signal, 5);

    await ended(waiting);

    expect([waiting.signal.aborted, waiting.isOver]).toEqual([true, true]);
    waiting.close();
  });

  it('ends it when the caller goes away, which was not time', () => {
    const gone = new AbortController();
    const waiting = new QueueTimeout(gone.signal, 60_000);

    gone.abort();

    expect([waiting.signal.aborted, waiting.isOver]).toEqual([true, false]);
    waiting.close();
  });

  it('is the signal of the caller where no time was given', () => {
    const gone = new AbortController();

    expect(new QueueTimeout(gone.signal, undefined).signal).toBe(gone.signal);
  });
});
