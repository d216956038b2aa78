import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { type BootedService, bootService } from '../support/boot';

let service: BootedService;

beforeAll(async () => {
  service = await bootService();
});

afterAll(async () => {
  await service.close();
});

interface Heard {
  readonly statuses: readonly number[];
  readonly head: string;
  readonly body: Record<string, unknown>;
}

/** Sends bytes as they are and listens until the server closes. */
async function say(request: string, bodyOnContinue = ''): Promise<Heard> {
  const { hostname, port } = new URL(service.url);
  const socket = connect(Number(port), hostname);
  let text = '';
  let sent = bodyOnContinue === '';
  socket.on('data', (piece: Buffer) => {
    text += piece.toString('latin1');
    if (!sent && text.startsWith('HTTP/1.1 100 ')) {
      sent = true;
      socket.write(bodyOnContinue);
    }
  });
  await once(socket, 'connect');
  socket.write(request);
  await once(socket, 'close');
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  const last = text.slice(text.lastIndexOf('HTTP/1.1 '));
  const [head = '', body = ''] = last.split('\r\n\r\n', 2);
  return {
    statuses,
    head: head.toLowerCase(),
    body: JSON.parse(body) as Record<string, unknown>,
  };
}

const SHAPE = {
  error: expect.stringMatching(/^[A-Z]/),
  code: expect.stringMatching(/^[a-z_]+$/),
  details: expect.any(Object),
  requestId: expect.stringMatching(/./),
} as Record<string, unknown>;

describe('a method that a route does not take', () => {
  it.each([
    ['DELETE', '/api/models', 'GET, HEAD'],
    ['PUT', '/api/models/a/versions', 'GET, HEAD, POST'],
    ['POST', '/health/live', 'GET, HEAD'],
    ['GET', '/api/models/a/rollback', 'POST'],
  ])('%s %s is a 405 that says what is allowed (102)', async (method, path, allow) => {
    const response = await fetch(`${service.url}${path}`, { method });

    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe(allow);
    expect(await response.json()).toMatchObject({ ...SHAPE, code: 'method_not_allowed' });
  });

  it('leaves unknown paths at 404 (102)', async () => {
    const response = await fetch(`${service.url}/api/nowhere`, { method: 'DELETE' });

    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ ...SHAPE, code: 'route_not_found' });
  });
});

it('keeps a connection longer than proxies do, so that none of theirs is closed under a request', async () => {
  const response = await fetch(`${service.url}/health/live`);

  expect(response.headers.get('keep-alive')).toBe('timeout=65');
});

describe('a request that is no valid HTTP', () => {
  it.each([
    ['is not HTTP at all', 'HELLO\r\n\r\n'],
    [
      'has two lengths',
      'POST /prediction HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc',
    ],
    [
      'has a bad chunk',
      'POST /prediction HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    ],
  ])('is a 400 with the body of all errors when it %s (105)', async (_what, request) => {
    const { statuses, body } = await say(request);

    expect(statuses).toEqual([400]);
    expect(body).toMatchObject({ ...SHAPE, code: 'bad_request' });
  });

  it('is answered behind the good requests before it', async () => {
    const good = 'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n';

    const { statuses, body } = await say(`${good}${good}HELLO\r\n\r\nHELLO AGAIN\r\n\r\n`);

    expect(statuses).toEqual([200, 200, 400]);
    expect(body).toMatchObject({ ...SHAPE, code: 'bad_request' });
  });

  it('loses its connection also when the client does not hang up', async () => {
    const { hostname, port } = new URL(service.url);
    const accepted = once(service.service.app.getHttpServer(), 'connection');
    const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
    socket.resume();
    const [itsOtherEnd] = (await accepted) as [Socket];
    const closed = once(itsOtherEnd, 'close');

    socket.write('HELLO\r\n\r\n');
    await once(socket, 'end');

    await closed;
    socket.destroy();
  });

  it.each(['/api/models/a%zzb', '*'])('has a request id also at %s', async (path) => {
    const { head, body } = await say(
      `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    );

    expect(body).toMatchObject(SHAPE);
    expect(head).toContain(`x-request-id: ${String(body['requestId'])}`);
  });

  it('is a 431 when its headers flood the server (105)', async () => {
    const { statuses, body } = await say(
      `GET /health/live HTTP/1.1\r\nHost: a\r\nX-Flood: ${'x'.repeat(100_000)}\r\n\r\n`,
    );

    expect(statuses).toEqual([431]);
    expect(body).toMatchObject({ ...SHAPE, code: 'headers_too_large' });
  });

  it('is a 417 when it expects what no server here does', async () => {
    const { statuses, body } = await say('GET / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n\r\n');

    expect(statuses).toEqual([417]);
    expect(body).toMatchObject({ ...SHAPE, code: 'expectation_failed' });
  });
});

describe('a client that waits for 100 Continue', () => {
  const head = (path: string, length: number): string =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;

  it('is refused by the length alone, before it sends anything (38)', async () => {
    const { statuses, body } = await say(head('/api/models/a/rollback', 10 ** 12));

    expect(statuses).toEqual([413]);
    expect(body).toMatchObject(SHAPE);
  });

  it('is told to go on when its body is wanted', async () => {
    const { statuses, body } = await say(
      head('/api/models/nobody/rollback', 15),
      '{"to":1}       ',
    );

    expect(statuses).toEqual([100, 404]);
    expect(body).toMatchObject({ ...SHAPE, code: 'model_not_found' });
  });
});

describe('a request that is refused while its body is being sent', () => {
  const url = (): string => `${service.url}/api/models/early/versions?promote=`;

  it('is told so every time when the body is small', async () => {
    for (let tries = 0; tries < 20; tries++) {
      const form = new FormData();
      form.append('file', new Blob([Buffer.alloc(150_000)]), 'a.bin');

      const response = await fetch(url(), { method: 'POST', body: form });

      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject(SHAPE);
    }
  });

  it('is told so when it listens only once all is sent', async () => {
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname).pause();
    const bytes = 900_000;
    const head = `POST /api/models/early/versions?promote= HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`;
    await new Promise<void>((resolve) => {
      socket.write(head);
      socket.write(Buffer.alloc(bytes), () => {
        resolve();
      });
    });

    let text = '';
    for await (const piece of socket) text += String(piece);

    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text).toContain('"requestId"');
  });

  it('can send the rest after it was told so, and is not reset', async () => {
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname);
    const faults: unknown[] = [];
    socket.on('error', (error) => faults.push(error));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(
      'POST /api/models/early/versions?promote= HTTP/1.1\r\nHost: a\r\nContent-Length: 150000\r\n\r\nabc',
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    // A request on another connection: whatever follows the answer at once has followed it now.
    await fetch(`${service.url}/health/live`);
    const wasOpen = socket.writable;
    socket.write(Buffer.alloc(149_997));
    await closed;

    expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 /);
    expect([wasOpen, faults]).toEqual([true, []]);
  });

  it('is told so and cut off when its body never ends (38)', async () => {
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname);
    let text = '';
    socket.on('data', (piece) => (text += String(piece)));
    socket.on('error', () => undefined);
    socket.write(
      `POST /api/models/early/versions?promote= HTTP/1.1\r\nHost: a\r\nContent-Length: ${2 ** 40}\r\n\r\n`,
    );
    while (!socket.destroyed) {
      if (!socket.write(Buffer.alloc(100_000))) {
        await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
      }
    }

    expect(text).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('is told so and let go of when its body does not go on', async () => {
    const { statuses, body } = await say(
      'POST /api/models/early/versions?promote= HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nabc',
    );

    expect(statuses).toEqual([400]);
    expect(body).toMatchObject(SHAPE);
  });
});
