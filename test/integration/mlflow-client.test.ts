import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { bootService, type BootedService } from '../support/boot';
import { makePythonEnv, type PythonEnv } from '../support/python-env';
import { fixtureFiles, sendJson } from '../support/uploads';

const PACKAGES = ['mlflow-skinny==3.17.2'];
const SCRIPT = join(__dirname, '../support/mlflow-client.py');

/** The client that users of MLflow have, as it is. */
describe('the stock client of MLflow', () => {
  let python: PythonEnv | string;
  let booted: BootedService;

  beforeAll(async () => {
    [python, booted] = await Promise.all([
      makePythonEnv(PACKAGES),
      bootService({ GRIDSTOW_DELETE_GRACE_MS: '0' }),
    ]);
  });
  afterAll(async () => {
    await booted.close();
    if (typeof python !== 'string') python.remove();
  });

  it('registers what it uploaded, finds it by alias, downloads it, searches and deletes it', async () => {
    if (typeof python === 'string') {
      console.warn(`skipped: ${python}`);
      return;
    }
    const folder = join(python.folder, 'model');
    const digits = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');
    const files = Object.entries(digits).map(([path, content]) => [`data/${path}`, content]);
    for (const [path, content] of [['MLmodel', 'flavors: {}\n'], ...files] as [string, Buffer][]) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }

    const said = JSON.parse(
      await python.run([SCRIPT, booted.url, folder, join(python.folder, 'download')], {
        MLFLOW_HTTP_REQUEST_MAX_RETRIES: '0',
        MLFLOW_DISABLE_TELEMETRY: 'true',
      }),
    ) as Record<string, unknown>;

    expect(said).toEqual({
      staged: ['MLmodel', 'data'],
      status: 'READY',
      version: '1',
      alias: '1',
      aliases: { champion: '1', live: '1' },
      tags: { owner: 'me' },
      version_tags: { 'team.name': 'vision', checked: 'yes' },
      description: 'by the client',
      same: true,
      copy: ['stock-copy', '1', 'READY'],
      models: [['stock', '1']],
      versions: ['1'],
      all: ['stock', 'stock-copy'],
      bad: 'INVALID_PARAMETER_VALUE',
      missing: 'RESOURCE_DOES_NOT_EXIST',
      gone: 'RESOURCE_DOES_NOT_EXIST',
    });
    const left = await sendJson('GET', `${booted.url}/api/models`);
    expect(left.body.items).toHaveLength(0);
  });
});
