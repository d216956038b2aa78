import { type EngineReports } from '../../src/models/version';
import { installedEngines } from '../../src/runtime/engines/installed-engines';
import { bootService, type BootedService } from '../support/boot';
import { type FreshDatabase, freshDatabase } from '../support/database';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

const MODEL = 'cancer';
const MEASURED = ['onnx', 'wasm', 'node'] as const;
type Measured = (typeof MEASURED)[number];

/** Another engine than the preferred one must be so much faster. */
const WORTH_CHANGING = 0.8;

const isHere = MEASURED.every((name) => installedEngines().has(name));
const withAll = isHere ? describe : describe.skip;

withAll('auto among onnx, wasm and node (skipped unless npm run native was run)', () => {
  let database: FreshDatabase;
  let service: BootedService;

  const start = async (): Promise<void> => {
    service = await bootService({
      GRIDSTOW_ENGINE: 'auto',
      MONGODB_URI: database.uri,
      GRIDSTOW_DB: database.name,
    });
    await until(async () => (await fetch(`${service.url}/health/ready`)).ok);
  };
  const restart = async (): Promise<void> => {
    await service.close();
    await start();
  };
  const reports = async (): Promise<EngineReports> =>
    (await sendJson('GET', `${service.url}/api/models/${MODEL}/versions/1`)).body.engines;
  /** The reports as they would be on another machine. */
  const rewrite = async (values: object): Promise<void> => {
    await database.db.collection('versions').updateOne({ model: MODEL }, { $set: values });
  };
  /** Where a call of so many rows is computed: calls are counted by engine. */
  const engineOf = async (rows: number): Promise<string | undefined> => {
    const before = await calls();
    const instances = Array.from({ length: rows }, (_, row) =>
      Array.from({ length: 30 }, (__, at) => Math.sin(row + at)),
    );
    const answer = await sendJson('POST', `${service.url}/api/models/${MODEL}/predict`, {
      instances,
    });
    expect(answer.status).toBe(200);
    const after = await calls();
    return [...after].find(([engine, count]) => count > (before.get(engine) ?? 0))?.[0];
  };
  const calls = async (): Promise<Map<string, number>> => {
    const text = await (await fetch(`${service.url}/metrics`)).text();
    const counted = /^gridstow_engine_calls_total\{([^}]*)\} (\d+)/gm;
    const perEngine = new Map<string, number>();
    for (const [, labels = '', count = '0'] of text.matchAll(counted)) {
      const engine = /engine="(\w+)"/.exec(labels)?.[1];
      if (engine !== undefined && labels.includes(`model="${MODEL}"`)) {
        perEngine.set(engine, (perEngine.get(engine) ?? 0) + Number(count));
      }
    }
    return perEngine;
  };

  beforeAll(async () => {
    database = freshDatabase();
    await start();
    const answer = await upload(service.url, MODEL, fixtureFiles('tfjs/cancer-mlp.k3h5.fixed'));
    expect(answer.status).toBe(201);
  });

  afterAll(async () => {
    await service.close();
    await database.close();
  });

  it('measures a version on each of them at batch 1 and 32, and serves with the fastest of each class', async () => {
    const measured = await reports();

    for (const name of MEASURED) {
      expect(measured[name]).toMatchObject({
        ok: true,
        measuredWith: expect.stringMatching(/ONNX Runtime|TensorFlow/),
        msPerBatch: { '1': expect.any(Number), '32': expect.any(Number) },
      });
    }
    expect(await engineOf(1)).toBe(fastest(measured, '1'));
    expect(await engineOf(32)).toBe(fastest(measured, '32'));
  });

  it('goes by what was measured, per class, also after a restart, and does not measure again', async () => {
    const set = (name: Measured, one: number, many: number): object => ({
      [`engines.${name}.msPerBatch`]: { '1': one, '32': many },
    });
    await rewrite({ ...set('onnx', 8, 80), ...set('wasm', 1, 90), ...set('node', 9, 2) });
    await restart();

    expect(await engineOf(1)).toBe('wasm');
    expect(await engineOf(32)).toBe('node');
    const kept = await reports();
    expect(MEASURED.map((name) => kept[name]?.msPerBatch)).toEqual([
      { '1': 8, '32': 80 },
      { '1': 1, '32': 90 },
      { '1': 9, '32': 2 },
    ]);
  });

  it('stays with the preferred engine where another is hardly faster', async () => {
    const nearly = { '1': 0.9, '32': 9 };
    await rewrite({
      'engines.onnx.msPerBatch': { '1': 1, '32': 10 },
      'engines.wasm.msPerBatch': nearly,
      'engines.node.msPerBatch': nearly,
    });
    await restart();

    expect([await engineOf(1), await engineOf(32)]).toEqual(['onnx', 'onnx']);
  });

  it('measures a live version again when the release of an engine is another one', async () => {
    const impossible = { '1': 12_345, '32': 12_345 };
    await rewrite({
      'engines.onnx.msPerBatch': impossible,
      'engines.onnx.measuredWith': 'ONNX Runtime 0.1',
    });
    await restart();

    await until(async () => (await reports())['onnx']?.measuredWith !== 'ONNX Runtime 0.1');
    const renewed = (await reports())['onnx'];
    expect(renewed).toMatchObject({ ok: true });
    expect(renewed?.msPerBatch?.['1']).toBeLessThan(12_345);
  });
});

function fastest(reports: EngineReports, batch: '1' | '32'): string {
  const ms = (name: Measured): number => reports[name]?.msPerBatch?.[batch] ?? Infinity;
  const [preferred, ...others] = MEASURED;
  return others.reduce<{ name: string; ms: number }>(
    (best, name) => (ms(name) < best.ms ? { name, ms: ms(name) } : best),
    { name: preferred, ms: ms(preferred) * WORTH_CHANGING },
  ).name;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 100));
}
