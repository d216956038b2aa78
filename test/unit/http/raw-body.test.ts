import { once } from 'node:events';
import { type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

import { putBefore, readBody } from '../../../src/http/raw-body';

/** A request as far as its body is concerned. */
function requestOf(
  source: Readable,
  headers: Readonly<Record<string, string>> = {},
): IncomingMessage {
  return Object.assign(source, { headers }) as unknown as IncomingMessage;
}

/** One whose body has arrived before anybody asked for it. */
async function arrived(...pieces: readonly Buffer[]): Promise<IncomingMessage> {
  const source = new Readable({ read: () => undefined });
  for (const piece of [...pieces, null]) source.push(piece);
  await new Promise(setImmediate);
  return Object.assign(requestOf(source), { complete: true });
}

/** Pieces that come one by one; null ends the body. */
function slowly(...pieces: readonly (Buffer | null)[]): Readable {
  const left = [...pieces];
  return new Readable({
    read() {
      const next = left.shift();
      if (next !== undefined) setImmediate(() => this.push(next));
    },
  });
}

const [one, two] = [Buffer.from('one'), Buffer.from('two')];

describe('readBody', () => {
  it.each([
    ['of one piece', [one], 'one'],
    ['of several', [one, two], 'onetwo'],
    ['of none', [], ''],
  ])('gives a body %s', async (_, pieces, text) => {
    const source = slowly(...pieces, null);

    expect((await readBody(requestOf(source), 100)).toString()).toBe(text);
    expect(source.listenerCount('data')).toBe(0);
  });

  it.each([
    ['of one piece', [one], 'one'],
    ['of several', [one, two], 'onetwo'],
    ['of none', [], ''],
  ])('gives a body %s that is there already', async (_, pieces, text) => {
    expect((await readBody(await arrived(...pieces), 100)).toString()).toBe(text);
    expect((await readBody(await arrived(...pieces), 100, 8)).toString()).toBe(text);
  });

  it('refuses a body that is there already and too large', async () => {
    await expect(readBody(await arrived(one, two), 5)).rejects.toMatchObject({
      code: 'body_too_large',
    });
  });

  it('gives nothing where everything was read before', async () => {
    const request = requestOf(slowly(one, null));
    await readBody(request, 100);

    expect(await readBody(request, 100)).toHaveLength(0);
  });

  it('stops at the limit and leaves the rest to whoever refuses it', async () => {
    const source = slowly(one, two, one, null);

    await expect(readBody(requestOf(source), 5)).rejects.toMatchObject({ code: 'body_too_large' });

    expect(source.destroyed).toBe(false);
    expect(source.listenerCount('data')).toBe(0);
    source.resume();
    await once(source, 'end');
  });

  it('says that the sender went away, in the middle or before anybody looked', async () => {
    const source = slowly(one);
    const reading = readBody(requestOf(source), 100);
    setImmediate(() => source.destroy());

    await expect(reading).rejects.toMatchObject({ code: 'body_incomplete' });
    await expect(readBody(requestOf(source), 100)).rejects.toMatchObject({
      code: 'body_incomplete',
    });
  });

  it('says so too when the connection broke', async () => {
    const source = slowly(one);
    const reading = readBody(requestOf(source), 100);
    setImmediate(() => source.destroy(new Error('reset')));

    await expect(reading).rejects.toMatchObject({ code: 'body_incomplete' });
  });

  it.each([{}, { 'content-length': '6' }, { 'content-length': String(100_000) }])(
    'leaves room before a body for what belongs there, with headers %j',
    async (headers) => {
      const large = Buffer.alloc(100_000, 'x');
      const body = headers['content-length'] === '100000' ? large : Buffer.concat([one, two]);
      const read = await readBody(requestOf(slowly(body, null), headers), 1e6, 64);

      const whole = putBefore(read, Buffer.from('head'));

      expect(whole.toString()).toBe(`head${body.toString()}`);
      expect(whole.buffer).toBe(read.buffer);
    },
  );
});
