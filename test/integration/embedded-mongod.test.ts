import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { MongoClient } from 'mongodb';

import { EmbeddedMongod } from '../../src/mongo/embedded-mongod';
import { DataDirectoryInUseError, MongodStartError } from '../../src/mongo/mongo.errors';

const binary = process.env['GRIDSTOW_MONGOD'] ?? '';
const OWNER = join(__dirname, '../support/embedded-owner.cjs');

let dataDir: string;
const started: EmbeddedMongod[] = [];
const owners: ChildProcess[] = [];
const listeners: Server[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'gridstow-embedded-'));
});

afterEach(async () => {
  for (const listener of listeners.splice(0)) listener.close();
  for (const owner of owners.splice(0)) owner.kill('SIGKILL');
  for (const mongod of started.splice(0)) await mongod.stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function start(
  options: Partial<Parameters<typeof EmbeddedMongod.start>[0]> = {},
): Promise<EmbeddedMongod> {
  const mongod = await EmbeddedMongod.start({ dataDir, binary, ...options });
  started.push(mongod);
  return mongod;
}

/** Listens on a port as a program of someone else would, and hangs up on every caller. */
async function occupy(port: number): Promise<number> {
  const server = createServer((socket) => socket.destroy());
  listeners.push(server);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as { port: number }).port;
}

async function withClient<T>(uri: string, use: (client: MongoClient) => Promise<T>): Promise<T> {
  const client = new MongoClient(uri, { writeConcern: { w: 'majority' } });
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

async function insert(uri: string, _id: number): Promise<void> {
  await withClient(uri, (client) =>
    client.db('kept').collection<{ _id: number }>('documents').insertOne({ _id }),
  );
}

async function keptIds(uri: string): Promise<Set<number>> {
  return await withClient(uri, async (client) => {
    const documents = client.db('kept').collection<{ _id: number }>('documents');
    return new Set((await documents.find().toArray()).map(({ _id }) => _id));
  });
}

/** Starts another process that owns the database, and waits until it has written `writes` times. */
async function startOwner(writes: number): Promise<{
  child: ChildProcess;
  mongodPid: number;
  acknowledged: number[];
}> {
  const child = spawn(process.execPath, [OWNER, dataDir, binary], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  owners.push(child);
  let mongodPid = 0;
  const acknowledged: number[] = [];
  await new Promise<void>((done, failed) => {
    child.stderr.on('data', (text: Buffer) => {
      failed(new TypeError(text.toString()));
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) mongodPid = (JSON.parse(line) as { pid: number }).pid;
      else acknowledged.push(Number(line));
      if (acknowledged.length === writes) done();
    });
  });
  return { child, mongodPid, acknowledged };
}

async function kill(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function untilDead(pid: number): Promise<void> {
  while (isAlive(pid)) await sleep(50);
}

describe('EmbeddedMongod', () => {
  it('keeps its data over a stop and a start', async () => {
    const first = await start();
    await insert(first.uri, 1);
    await first.stop();

    const second = await start();

    expect(await keptIds(second.uri)).toEqual(new Set([1]));
    expect(second.port).toBe(first.port);
  });

  it('takes writes on kept files when its last port belongs to another by now', async () => {
    const first = await start();
    await insert(first.uri, 1);
    await first.stop();
    await occupy(first.port);

    const second = await start();
    await insert(second.uri, 2);

    expect(second.port).not.toBe(first.port);
    expect(await keptIds(second.uri)).toEqual(new Set([1, 2]));
  });

  it('starts its server again on the same address after a kill -9 of the server', async () => {
    const messages: string[] = [];
    const mongod = await start({ log: (message) => messages.push(message) });
    const { uri, pid } = mongod;

    await withClient(uri, async (client) => {
      const documents = client.db('kept').collection<{ _id: number }>('documents');
      await documents.insertOne({ _id: 1 });
      process.kill(pid, 'SIGKILL');
      // The client is told nothing: it finds the server again by itself.
      await untilDone(() => documents.replaceOne({ _id: 2 }, {}, { upsert: true }));
      expect(await documents.countDocuments()).toBe(2);
    });

    // A client can be served a moment before the owner has noticed.
    while (messages.length < 2) await sleep(20);
    expect(mongod.uri).toBe(uri);
    expect(mongod.pid).not.toBe(pid);
    expect(messages).toEqual([
      expect.stringMatching(/^The embedded database ended: .*signal SIGKILL/),
      'The embedded database is back',
    ]);
  });

  it('stops while it is starting its server again', async () => {
    const mongod = await start();
    process.kill(mongod.pid, 'SIGKILL');
    await sleep(200);

    await mongod.stop();

    expect(isAlive(mongod.pid)).toBe(false);
  });

  it('has every acknowledged write after a kill -9 of the service', async () => {
    const { child, acknowledged } = await startOwner(50);
    await kill(child);

    const mongod = await start();

    expect([...(await keptIds(mongod.uri))]).toEqual(expect.arrayContaining(acknowledged));
  });

  it('has every acknowledged write after a kill -9 of service and server at once', async () => {
    const { child, mongodPid, acknowledged } = await startOwner(50);
    process.kill(mongodPid, 'SIGKILL');
    await kill(child);

    const mongod = await start();

    expect([...(await keptIds(mongod.uri))]).toEqual(expect.arrayContaining(acknowledged));
  });

  it('ends its server when the service is killed and nobody starts again', async () => {
    const { child, mongodPid } = await startOwner(1);

    await kill(child);

    await untilDead(mongodPid);
    expect(isAlive(mongodPid)).toBe(false);
  });

  it('stops a server that outlived its service', async () => {
    const messages: string[] = [];
    const { child, mongodPid, acknowledged } = await startOwner(5);
    // A stopped server cannot follow its guard's signal, as one in trouble would not.
    process.kill(mongodPid, 'SIGSTOP');
    await kill(child);
    setTimeout(() => process.kill(mongodPid, 'SIGCONT'), 500);

    const mongod = await start({ log: (message) => messages.push(message) });

    expect(messages).toEqual([expect.stringContaining(`process ${String(mongodPid)}`)]);
    expect([...(await keptIds(mongod.uri))]).toEqual(expect.arrayContaining(acknowledged));
  });

  it('leaves a process alone that has the id of a dead server', async () => {
    const first = await start();
    await first.stop();
    const stranger = spawn('sleep', ['60']);
    owners.push(stranger);
    await writeFile(join(dataDir, 'db', 'mongod.lock'), `${String(stranger.pid)}\n`);

    await start();

    expect(isAlive(stranger.pid ?? 0)).toBe(true);
  });

  it('refuses a data directory that another service runs on, in one sentence', async () => {
    const { child } = await startOwner(1);

    const second = EmbeddedMongod.start({ dataDir, binary });

    await expect(second).rejects.toBeInstanceOf(DataDirectoryInUseError);
    await expect(second).rejects.toThrow(
      `Another service (process ${String(child.pid)}) already runs on the data directory ${dataDir}; stop it, or set GRIDSTOW_DATA_DIR to another directory`,
    );
    expect(child.exitCode).toBeNull();
  });

  it('lets exactly one of several starts take over from a dead owner', async () => {
    await writeFile(
      join(dataDir, 'service.lock'),
      JSON.stringify({ pid: process.pid, started: 'another time', token: 'dead' }),
    );

    const results = await Promise.allSettled(Array.from({ length: 5 }, () => start()));

    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('gives the directory back when its server does not start', async () => {
    await writeFile(join(dataDir, 'db'), 'a file where a folder belongs').catch(() => undefined);
    await expect(EmbeddedMongod.start({ dataDir, binary })).rejects.toThrow();
    await rm(join(dataDir, 'db'));

    const mongod = await start();

    expect(isAlive(mongod.pid)).toBe(true);
  });

  it('says what the server said when a wanted port is taken', async () => {
    const port = await occupy(0);

    const starting = EmbeddedMongod.start({ dataDir, binary, port });

    await expect(starting).rejects.toThrow(MongodStartError);
    await expect(starting).rejects.toThrow(/Address already in use/);
  });

  it('listens on loopback only', async () => {
    const mongod = await start();

    const args = await readFile(`/proc/${String(mongod.pid)}/cmdline`, 'utf8').catch(() => null);

    if (args !== null) expect(args.split('\0').join(' ')).toContain('--bind_ip 127.0.0.1');
  });
});

/** Tries until it succeeds: what a caller that got a 503 does. */
async function untilDone(attempt: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await attempt();
      return;
    } catch {
      await sleep(50);
    }
  }
}
