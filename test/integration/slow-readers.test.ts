import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { DurableRecorder } from '../../src/predictions/durable-recorder.service';
import { PredictionsRepository } from '../../src/predictions/predictions.repository';
import { bootService, type BootedService } from '../support/boot';
import { aRecord, aVector } from '../support/prediction-records';
import { sendJson, upload } from '../support/uploads';

let service: BootedService;
const clients: Socket[] = [];

beforeAll(async () => {
  service = await bootService({ GRIDSTOW_SEND_TIMEOUT_MS: '200' });
});

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});

afterAll(async () => {
  await service.close();
});

/** Asks for a large answer, reads nothing of it, and returns when the service hangs up. */
async function untilCutOff(path: string): Promise<void> {
  const accepted = once(service.service.app.getHttpServer(), 'connection');
  const { hostname, port } = new URL(service.url);
  const client = connect(Number(port), hostname).pause();
  clients.push(client);
  client.on('error', () => undefined);
  client.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const [itsOtherEnd] = (await accepted) as [Socket];
  await once(itsOtherEnd, 'close');
  // It was answered, and not refused.
  const [head] = (await once(client.resume(), 'data')) as [Buffer];
  expect(head.toString('latin1')).toMatch(/^HTTP\/1\.1 200 /);
}

const isEmpty = async (collection: string): Promise<boolean> =>
  (await service.db.collection(collection).countDocuments()) === 0;
const pause = async (): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, 20));
};

describe('a client that reads nothing of what it asked for', () => {
  it.each(['files/weights.bin', 'archive'])(
    'is cut off from %s, and no longer keeps the version from being deleted',
    async (what) => {
      const model = `slow-${what.length}`;
      const files = { 'weights.bin': randomBytes(48_000_000), 'other.bin': randomBytes(10) };
      expect((await upload(service.url, model, files)).status).toBe(201);
      const api = `/api/models/${model}`;

      await untilCutOff(`${api}/versions/1/${what}`);

      while (!(await isEmpty('versionLeases'))) await pause();
      await sendJson('DELETE', `${service.url}${api}/aliases/live`);
      expect((await sendJson('DELETE', `${service.url}${api}`)).status).toBe(204);
    },
  );

  it.each(['ndjson', 'parquet'])(
    'is cut off from an export as %s, whose cursor goes',
    async (format) => {
      const predictions = service.service.app.get(PredictionsRepository);
      for (let made = 0; made < 40; made++) {
        const outputs = aVector(...Array.from({ length: 50_000 }, Math.random));
        const record = aRecord(predictions.newId(), { model: format, outputs });
        await service.service.app.get(DurableRecorder).record(record);
      }

      await untilCutOff(`/api/predictions/export?model=${format}&format=${format}`);

      while ((await openCursors()) > 0) await pause();
    },
  );
});

async function openCursors(): Promise<number> {
  const cursors = await service.db.client
    .db('admin')
    .aggregate(
      [
        { $currentOp: { idleCursors: true } },
        { $match: { ns: `${service.db.databaseName}.predictions`, cursor: { $exists: true } } },
      ],
      { readConcern: { level: 'local' } },
    )
    .toArray();
  return cursors.length;
}
