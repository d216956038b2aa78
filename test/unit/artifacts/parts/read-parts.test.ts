import { once } from 'node:events';
import { createServer, type IncomingMessage, request as httpRequest, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { createGzip } from 'node:zlib';

import { readParts } from '../../../../src/artifacts/parts/read-parts';
import { StoreError } from '../../../../src/common/errors';
import { LIMITS, readUpload, refusalOf } from './read-upload';
import { tarHeader } from './tar-header';
import { forgeZip } from './zip-forge';

const FORM = 'multipart/form-data; boundary=frontier';
const FILE = 'application/octet-stream';
const WIDE = { ...LIMITS, maxBytes: 1e12 };
const PIECE = Buffer.alloc(64 * 1024);

/** Beginnings of uploads whose first file `a` has far more bytes than will ever come. */
const BEGINNINGS: [kind: string, contentType: string, head: () => Buffer][] = [
  [
    'a form',
    FORM,
    () =>
      Buffer.from('--frontier\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'),
  ],
  ['a tar', 'application/x-tar', () => tarHeader('a', 1e9)],
  [
    'a zip',
    'application/zip',
    () => {
      const sizes = { crc: 0, rawBytes: 1e9, compressedBytes: 1e9 };
      return forgeZip([{ name: 'a', method: 0, bytes: Buffer.alloc(0), ...sizes }]).subarray(0, 31);
    },
  ],
  ['a single file', FILE, () => Buffer.alloc(0)],
];

function* endless(head: Buffer): Generator<Buffer> {
  if (head.length > 0) yield head;
  for (;;) yield PIECE;
}

function listenersOf(body: Readable): Record<string, number> {
  return Object.fromEntries(
    body.eventNames().map((name) => [String(name), body.listenerCount(name)]),
  );
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('the kind of an upload', () => {
  it.each([undefined, '', 'text/plain', 'application/x-bzip2', 'application/json; a=b'])(
    'is refused when it says %j',
    (contentType) => {
      const read = (): unknown => readParts({ contentType, body: Readable.from([]) }, LIMITS);

      expect(read).toThrow(expect.objectContaining({ kind: 'unsupported_media_type' }) as Error);
    },
  );

  it.each(['gzip', 'gzip, gzip', 'br', 'x-unknown', 'identity, gzip'])(
    'is refused with the content encoding %s (50)',
    async (contentEncoding) => {
      const refusal = await refusalOf('application/x-tar', tarHeader('a', 1e9), {
        contentEncoding,
      });

      expect(refusal.kind).toBe('unsupported_media_type');
    },
  );

  it('is read without regard to case and parameters', async () => {
    const { files } = await readUpload('Application/ZIP; x=y', forgeZip([{ name: 'a' }]), {
      contentEncoding: 'Identity',
    });

    expect(Object.keys(files)).toEqual(['a']);
  });
});

describe('a single file', () => {
  it('has the path that the request names', async () => {
    const { files } = await readUpload(FILE, Buffer.from('bytes'), { filename: './m/a.keras' });

    expect(files).toEqual({ 'm/a.keras': Buffer.from('bytes') });
  });

  it('is refused without a path, or with one that climbs (39)', async () => {
    const nameless = await refusalOf(FILE, Buffer.from('bytes'));
    const climbing = await refusalOf(FILE, Buffer.from('bytes'), { filename: '../a' });

    expect(nameless).toMatchObject({ kind: 'invalid' });
    expect(climbing).toMatchObject({ kind: 'invalid', code: 'member_refused' });
  });
});

describe('a body over the limit', () => {
  it('is refused unread when its length says so (38)', () => {
    const body = Readable.from(endless(PIECE), { objectMode: false });
    const read = (): unknown =>
      readParts({ contentType: FILE, filename: 'a', contentLength: 1e9, body }, LIMITS);

    expect(read).toThrow(expect.objectContaining({ kind: 'too_large' }) as Error);
    expect(body.readableDidRead).toBe(false);
  });

  it.each(BEGINNINGS)('is refused at the limit when %s does not say so (38)', async (...kind) => {
    const [, contentType, head] = kind;
    const body = Readable.from(endless(head()), { objectMode: false });

    const refusal = await refusalOf(contentType, body, { filename: 'a' });

    expect(refusal).toMatchObject({ kind: 'too_large', code: 'too_large' });
    expect(body.destroyed).toBe(false);
  });
});

describe.each(BEGINNINGS)('%s', (_kind, contentType, head) => {
  const reading = (body: Readable): AsyncIterator<{ path: string; body: AsyncIterable<unknown> }> =>
    readParts({ contentType, filename: 'a', body }, WIDE)[Symbol.asyncIterator]();

  it('lets go of the body when no more is wanted, and leaves it usable', async () => {
    const body = Readable.from(endless(head()), { objectMode: false });
    const before = listenersOf(body);

    for await (const part of readParts({ contentType, filename: 'a', body }, WIDE)) {
      expect(part.path).toBe('a');
      await part.body[Symbol.asyncIterator]().next();
      break;
    }

    expect(listenersOf(body)).toEqual(before);
    expect(body.isPaused()).toBe(true);
    expect(body.destroyed).toBe(false);
    body.destroy();
  });

  it('lets go of the body at once while it waits for bytes', async () => {
    const body = new PassThrough();
    body.write(head());
    body.write('some');
    const before = listenersOf(body);
    const parts = reading(body);
    const { value: part } = (await parts.next()) as { value: { body: AsyncIterable<unknown> } };
    const pieces = part.body[Symbol.asyncIterator]();
    await pieces.next();
    const waiting = failureOf(pieces.next());

    await parts.return?.();

    expect(await waiting).toBeDefined();
    expect(listenersOf(body)).toEqual(before);
    expect(body.destroyed).toBe(false);
  });

  it.each([
    ['an error', new TypeError('reset')],
    ['no error', undefined],
  ])('fails as incomplete when the body breaks off with %s (1)', async (_how, error) => {
    const body = new PassThrough();
    body.write(head());
    body.write('some');
    body.on('error', () => undefined);
    setTimeout(() => body.destroy(error), 20);

    const refusal = await refusalOf(contentType, body, { filename: 'a', limits: WIDE });

    expect(refusal).toMatchObject({ kind: 'bad_syntax', code: 'upload_incomplete' });
  });

  it('fails as incomplete when the body broke off before it was read (1)', async () => {
    const body = new PassThrough();
    body.destroy();

    const refusal = await refusalOf(contentType, body, { filename: 'a' });

    expect(refusal).toMatchObject({ kind: 'bad_syntax', code: 'upload_incomplete' });
  });
});

describe('parts that are not read', () => {
  it('are skipped, and still checked', async () => {
    const bytes = Buffer.alloc(3e5, 'x');
    const good = forgeZip([{ name: 'a', bytes }, { name: 'b' }]);
    const bad = forgeZip([{ name: 'a', bytes, crc: 1 }, { name: 'b' }]);
    const pathsOf = async (zip: Buffer): Promise<string[]> => {
      const paths: string[] = [];
      const body = Readable.from([zip]);
      for await (const part of readParts({ contentType: 'application/zip', body }, LIMITS)) {
        paths.push(part.path);
      }
      return paths;
    };

    expect(await pathsOf(good)).toEqual(['a', 'b']);
    expect(await failureOf(pathsOf(bad))).toMatchObject({ code: 'archive_damaged' });
  });
});

describe('over HTTP', () => {
  let server: Server;
  let outcome: Promise<unknown>;
  let port: number;
  let limits = LIMITS;

  beforeEach(async () => {
    limits = LIMITS;
    let settle: (failure: unknown) => void;
    outcome = new Promise((resolve) => (settle = resolve));
    const read = async (body: IncomingMessage): Promise<void> => {
      const { 'content-type': contentType } = body.headers;
      for await (const part of readParts({ contentType, body, filename: 'a' }, limits)) {
        for await (const piece of part.body) expect(piece).toBeDefined();
      }
    };
    server = createServer((request, response) => {
      void failureOf(read(request)).then((failure) => {
        const status = failure instanceof StoreError && failure.kind === 'too_large' ? 413 : 400;
        response.writeHead(failure === undefined ? 200 : status, { Connection: 'close' }).end();
        settle(failure);
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    port = (server.address() as AddressInfo).port;
  });

  afterEach(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });

  it.each(BEGINNINGS)(
    'a client that goes away in the middle of %s is noticed (1)',
    async (...kind) => {
      const [, contentType, head] = kind;
      limits = WIDE;
      const client = httpRequest({
        port,
        method: 'POST',
        headers: { 'Content-Type': contentType },
      });
      client.on('error', () => undefined);
      client.write(head());
      client.write('some');
      // Gone before the server has heard of it would be nothing to notice.
      await once(server, 'request');
      setTimeout(() => client.destroy(), 50);

      expect(await outcome).toMatchObject({ kind: 'bad_syntax', code: 'upload_incomplete' });
    },
  );

  it('a body shorter than its Content-Length is incomplete (30)', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.end(
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${FILE}\r\nContent-Length: 100\r\n\r\nshort`,
    );

    expect(await outcome).toMatchObject({ kind: 'bad_syntax', code: 'upload_incomplete' });
    socket.destroy();
  });

  it('a client that sends too much is answered, and not only cut off (38)', async () => {
    const client = httpRequest({ port, method: 'POST', headers: { 'Content-Type': FILE } });
    client.on('error', () => undefined);
    client.write(Buffer.alloc(LIMITS.maxBytes + 1));

    const [response] = (await once(client, 'response')) as [IncomingMessage];

    expect(response.statusCode).toBe(413);
    client.destroy();
  });

  it('a bomb is given up long before its end (48)', async () => {
    const gzip = createGzip();
    const client = httpRequest({
      port,
      method: 'POST',
      headers: { 'Content-Type': 'application/gzip' },
    });
    client.on('error', () => undefined);
    Readable.from(endless(tarHeader('a', 1e9)), { objectMode: false })
      .pipe(gzip)
      .pipe(client);

    const [response] = (await once(client, 'response')) as [IncomingMessage];

    expect(response.statusCode).toBe(413);
    client.destroy();
    gzip.destroy();
  });
});
