import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

import { type CancelSignal } from '../../../src/common/cancel-signal';
import { whenGone } from '../../../src/http/when-gone';

const REQUEST = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n';

interface Pending {
  readonly response: ServerResponse;
  readonly signal: CancelSignal;
  readonly aborted: Promise<void>;
}

let server: Server;
let pending: Pending[];
let arrived: () => void;

beforeEach(async () => {
  pending = [];
  server = createServer((_: IncomingMessage, response: ServerResponse) => {
    const signal = whenGone(response);
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', resolve);
    });
    pending.push({ response, signal, aborted });
    arrived();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(() => {
  server.close();
});

/** Sends so many requests at once, and returns when all of them are there. */
async function send(count: number): Promise<Socket> {
  const all = new Promise<void>((resolve) => {
    arrived = () => {
      if (pending.length === count) resolve();
    };
  });
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.resume().write(REQUEST.repeat(count));
  await all;
  return client;
}

describe('whenGone', () => {
  it('aborts all that a client sent, also what waits behind an answer of its', async () => {
    const client = await send(20);
    expect(pending.map(({ signal }) => signal.aborted)).not.toContain(true);

    client.destroy();
    await Promise.all(
      pending.map(async ({ aborted }) => {
        await aborted;
      }),
    );

    expect(pending.map(({ signal }) => signal.aborted)).not.toContain(false);
  });

  it('does not abort what was answered, and leaves no listener on the connection', async () => {
    const client = await send(3);
    const { socket } = pending[0]!.response.req;
    const before = socket.listenerCount('close');
    let count = 0;
    const gone = (): void => {
      count++;
    };
    for (const { signal } of pending) signal.addEventListener('abort', gone);
    for (const { signal } of pending) signal.removeEventListener('abort', gone);
    expect(socket.listenerCount('close')).toBe(before);

    for (const { response } of pending) response.end();
    await once(pending[2]!.response, 'finish');
    client.end();
    await once(socket, 'close');

    expect(pending.map(({ signal }) => signal.aborted)).toEqual([false, false, false]);
    expect(count).toBe(0);
  });
});
