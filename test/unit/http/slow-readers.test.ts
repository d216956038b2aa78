import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

import { cutSlowReaders } from '../../../src/http/slow-readers';

const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const MIB = 1024 * 1024;
/** Four times what a connection holds by itself, on both sides together. */
const LARGE = Buffer.alloc(160 * MIB);
/** No look comes by itself: the tests say when. */
const HOUR_MS = 3_600_000;

let server: Server;
let look: () => void;
let cuts: number;
let asked: ServerResponse[];
const clients: Socket[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  server.close();
});

async function serve(answer: RequestListener): Promise<void> {
  [cuts, asked] = [0, []];
  server = createServer((request, response) => {
    answer(request, response);
    asked.push(response);
  });
  look = cutSlowReaders(server, HOUR_MS, () => cuts++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}

/** A client that has asked and was answered, and reads nothing by itself. */
async function ask(): Promise<Socket> {
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
  clients.push(client);
  await sendTo(client);
  return client;
}

async function sendTo(client: Socket): Promise<void> {
  const before = asked.length;
  client.write(REQUEST);
  while (asked.length === before) await turn();
}

/** Takes so many bytes of what waits. */
async function take(client: Socket, bytes: number): Promise<void> {
  const enough = client.bytesRead + bytes;
  await new Promise<void>((resolve) => {
    const taking = (): void => {
      if (client.bytesRead < enough) return;
      client.pause().off('data', taking);
      resolve();
    };
    client.on('data', taking).resume();
  });
}

const turn = async (): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, 1));
};

describe('cutSlowReaders', () => {
  it('cuts the connection of a client that takes nothing of its answer', async () => {
    await serve((_, response) => response.end(LARGE));
    await ask();
    const closed = once(asked[0]!, 'close');

    look();
    look();

    await closed;
    expect(cuts).toBe(1);
    look();
    expect(cuts).toBe(1);
  });

  it('cuts that of one who takes it byte by byte, though it moves', async () => {
    await serve((_, response) => response.end(LARGE));
    const client = await ask();
    await take(client, 1);

    look();
    client.read(1);
    look();

    expect(cuts).toBe(1);
  });

  it('leaves one alone that takes enough, also of a piece that went out at once', async () => {
    await serve((_, response) => response.end(LARGE));
    const client = await ask();

    for (let round = 1; round <= 3; round++) {
      look();
      await take(client, 40 * MIB);
    }
    look();

    expect(cuts).toBe(0);
    expect(asked[0]!.writableFinished).toBe(false);
  });

  it('leaves alone what waits for nobody: answers under way, and idle connections', async () => {
    await serve((_, response) => {
      if (asked.length === 0) response.end('small');
    });
    await ask();
    await ask();

    for (let round = 1; round <= 3; round++) look();

    expect(cuts).toBe(0);
  });

  it('asks for no more than there was: small answers that are all taken', async () => {
    await serve((_, response) => response.end('small'));
    const client = await ask();

    for (let round = 1; round <= 3; round++) {
      look();
      await sendTo(client);
    }
    look();

    expect(cuts).toBe(0);
  });
});
