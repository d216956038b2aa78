import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Sweeper } from '../../src/models/sweeper.service';
import { bootService, type BootedService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { findViolations } from '../support/invariants';
import { type SpawnedService, spawnService } from '../support/spawn-service';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

/** The replica that lives on and cleans up; the other one crashes. */
let survivor: BootedService;
let service: SpawnedService;
let folder: string;
let control: string;
let models = 0;
const files = fixtureFiles('tfjs/cancer-mlp.k3h5.fixed');
const promised = { ready: new Map<string, string>(), deletionAsked: new Set<string>() };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gridstow-points-'));
  control = join(folder, 'control');
  survivor = await bootService({ GRIDSTOW_DELETE_GRACE_MS: '0' });
  // A transaction whose client died holds its documents until the server gives it up.
  await setTransactionLifetime(3);
  service = await start();
});

async function setTransactionLifetime(seconds: number): Promise<void> {
  await survivor.db.admin().command({ setParameter: 1, transactionLifetimeLimitSeconds: seconds });
}

afterAll(async () => {
  await service.kill('SIGKILL');
  await setTransactionLifetime(60);
  await survivor.close();
  await rm(folder, { recursive: true, force: true });
});

async function start(): Promise<SpawnedService> {
  return await spawnService({
    MONGODB_URI: testMongoUri(),
    GRIDSTOW_DB: survivor.db.databaseName,
    GRIDSTOW_DELETE_GRACE_MS: '0',
    NODE_OPTIONS: `--require ${join(__dirname, '../support/crash-points.cjs')}`,
    CRASH_CONTROL: control,
    LOG_LEVEL: 'silent',
  });
}

type Action = 'kill' | 'throw' | 'stop';
interface Answer {
  readonly status: number;
  readonly body: any;
}
type Operation = () => Promise<Answer>;

/** Makes every lease look as if its holder had given no sign of life for long. */
async function expireLeases(): Promise<void> {
  const { db } = survivor;
  const past = new Date(0);
  await db.collection('uploadIntents').updateMany({}, { $set: { leaseUntil: past } });
  await db.collection('versionLeases').updateMany({}, { $set: { until: past } });
  await db.collection('idempotency').updateMany({}, { $set: { leaseUntil: past } });
  await db.collection('leaders').updateMany({}, { $set: { until: past } });
}

async function cleanUp(): Promise<void> {
  const sweeper = survivor.service.app.get(Sweeper);
  for (;;) {
    await expireLeases();
    // The services sweep by themselves as well, and only one at a time does.
    if ((await sweeper.sweep({ pauseMs: 0 })).finished) return;
  }
}

/** Keeps both services from sweeping by themselves: one would do what the other is to crash at. */
async function holdSweeping(): Promise<void> {
  const until = new Date(Date.now() + 3_600_000);
  await survivor.db
    .collection('leaders')
    .updateMany({}, { $set: { holder: 'test', until }, $inc: { token: 1 } });
}

/** Runs an operation that comes to a crash point, and what a restart or the other replica does then. */
async function crash(point: string, action: Action, operation: Operation): Promise<Answer | null> {
  await rm(`${control}.fired`, { force: true });
  await holdSweeping();
  await writeFile(control, `${point} ${action}`);
  const answering = operation().catch(() => null);
  if (action === 'stop') {
    const giveUpAt = Date.now() + 60_000;
    while (!existsSync(`${control}.fired`) && Date.now() < giveUpAt) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    // Meanwhile its leases run out, and the other replica takes its work for abandoned.
    await cleanUp();
    service.process.kill('SIGCONT');
  }
  const answer = await answering;
  // Left there, it would hit whatever comes next.
  await rm(control, { force: true });
  expect([point, existsSync(`${control}.fired`)]).toEqual([point, true]);
  if (action === 'kill') {
    expect(answer).toBeNull();
    service = await start();
  }
  await cleanUp();
  return answer;
}

function note({ status, body }: Answer): void {
  if (status === 201 || status === 200) {
    promised.ready.set(`${body.model}/${body.version}`, body.digest);
  }
}

/** Weights that every model here shares, and a note that only this one has. */
async function publish(model: string, note: string): Promise<Answer> {
  return await upload(
    service.url,
    model,
    { ...files, 'note.txt': `${model} ${note}` },
    { headers: { 'Idempotency-Key': `${model}-${note}` } },
  );
}

const ACTIONS: readonly Action[] = ['kill', 'throw', 'stop'];
const combine = (points: readonly string[]): (readonly [string, Action])[] =>
  points.flatMap((point) => ACTIONS.map((action) => [point, action] as const));

describe('a publish that is cut off', () => {
  it.each(
    combine([
      'publish.afterIntent',
      'publish.afterChunk:1',
      'publish.afterReserve',
      'publish.afterFilesDoc',
      'publish.afterVerifying',
      'publish.beforeReady',
      'publish.afterReady',
      'publish.beforeRelease',
    ]),
  )(
    'at %s by %s is whole or invisible, and its key comes to one version (2-6)',
    async (point, action) => {
      const model = `cut-${++models}`;

      const answer = await crash(point, action, async () => await publish(model, 'a'));

      if (answer) note(answer);
      expect(await findViolations(survivor.db, promised)).toEqual([]);
      const again = await publish(model, 'a');
      expect([200, 201]).toContain(again.status);
      note(again);
      const ready = await survivor.db
        .collection('versions')
        .countDocuments({ model, state: 'ready' });
      expect(ready).toBe(1);
      const { body } = await sendJson('GET', `${service.url}/api/models/${model}`);
      expect(body.aliases).toEqual({ live: again.body.version });
    },
  );
});

/** The same model under other names of its layers, of which nobody has a compiled form yet. */
function renamed(name: string): typeof files {
  const json = files['model.json']!.toString().replaceAll('benign_p', `benign_${name}`);
  return { ...files, 'model.json': Buffer.from(json) };
}

async function isInMemory(url: string, model: string): Promise<boolean> {
  const { body } = await sendJson('GET', `${url}/api/runtime`);
  return body.executors.some(({ versions }: { versions: { model: string }[] }) =>
    versions.some((version) => version.model === model),
  );
}

/** What is not as it must be once the renewals that go on in the background have ended. */
async function lastViolations(): Promise<string[]> {
  for (let tries = 1; ; tries++) {
    const found = await findViolations(survivor.db, promised);
    if (found.length === 0 || tries === 200) return found;
    await new Promise((resolve) => setTimeout(resolve, 500));
    if (tries % 4 === 0) await cleanUp();
  }
}

describe('a publish that is cut off with its compiled form', () => {
  it.each(combine(['compiled.afterFilesDoc']))(
    'at %s by %s is whole or invisible, and leaves no form to nobody',
    async (point, action) => {
      const model = `cut-${++models}`;
      const attempt = async (): Promise<Answer> =>
        await upload(service.url, model, renamed(`x${models}`), {
          headers: { 'Idempotency-Key': model },
        });

      const answer = await crash(point, action, attempt);

      if (answer) note(answer);
      expect(await lastViolations()).toEqual([]);
      const again = await attempt();
      expect([200, 201]).toContain(again.status);
      note(again);
      expect(await lastViolations()).toEqual([]);
    },
  );
});

describe('a compiled form that is stored anew and cut off', () => {
  it.each(
    combine(['compiled.afterFilesDoc', 'compiled.beforeReference', 'compiled.afterReference']),
  )('at %s by %s is referred to or freed', async (point, action) => {
    const model = `cut-${++models}`;
    note(await upload(service.url, model, renamed(`y${models}`)));
    // The other replica has it in memory by then, and no reason to look at it again.
    while (!(await isInMemory(survivor.url, model))) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const versions = survivor.db.collection('versions');
    const doc = await versions.findOne({ model });
    // As a service without the compiler would have left it: with no form like it anywhere.
    const forgetForm = async (): Promise<void> => {
      await versions.updateOne({ model, compiled: { $exists: true } }, [
        { $set: { blobs: { $setDifference: ['$blobs', '$compiled.ref.segments.blob'] } } },
        { $unset: 'compiled' },
      ]);
    };
    await forgetForm();
    await cleanUp();

    await crash(point, action, async () => {
      const memory = `${service.url}/api/models/${model}/versions/1`;
      // Its load is what has it looked at; who resolved it before knows it as it was for a second.
      while (!existsSync(`${control}.fired`)) {
        // The other replica may have been looking at it just then, and be the one that stored it.
        await forgetForm();
        await sendJson('POST', `${memory}/unload`);
        await new Promise((resolve) => setTimeout(resolve, 300));
        const answer = await sendJson('POST', `${memory}/load`);
        if (existsSync(`${control}.fired`)) return answer;
      }
      return await sendJson('GET', memory);
    });

    expect(await lastViolations()).toEqual([]);
    const after = await versions.findOne({ model });
    expect(after).toMatchObject({ state: 'ready', digest: doc?.['digest'] });
  });
});

describe('a deletion that is cut off', () => {
  it.each(
    combine([
      'delete.afterMark',
      'delete.afterRelease',
      'delete.afterDoom',
      'delete.afterFilesDoc',
      'delete.afterChunks',
      'delete.beforeTombstone',
    ]),
  )(
    "at %s by %s is finished by somebody else, and frees nobody else's bytes (26)",
    async (point, action) => {
      const model = `cut-${++models}`;
      note(await publish(model, 'a'));
      // Bytes of its own, and bytes that the first version needs as well.
      const own = await publish(model, 'b');
      expect(own.status).toBe(201);
      note(own);
      promised.deletionAsked.add(`${model}/2`);

      await crash(
        point,
        action,
        async () => await sendJson('DELETE', `${service.url}/api/models/${model}/versions/2`),
      );

      expect(await findViolations(survivor.db, promised)).toEqual([]);
      const doc = await survivor.db.collection('versions').findOne({ model, version: 2 });
      expect(doc?.['state']).toBe('deleted');
    },
  );
});

describe('an alias move that is cut off', () => {
  it.each(combine(['activate.afterPin', 'activate.afterMove']))(
    'at %s by %s has happened or not, and its key moves once',
    async (point, action) => {
      const model = `cut-${++models}`;
      note(await publish(model, 'a'));
      const move = async (): Promise<Answer> =>
        await sendJson(
          'PUT',
          `${service.url}/api/models/${model}/aliases/canary`,
          { version: 1 },
          { 'Idempotency-Key': `${model}-move` },
        );

      await crash(point, action, move);

      expect(await findViolations(survivor.db, promised)).toEqual([]);
      expect(await move()).toMatchObject({ status: 200, body: { version: 1, revision: 1 } });
      expect(await findViolations(survivor.db, promised)).toEqual([]);
    },
  );
});
