import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { MongodMissingError } from '../../../src/mongo/mongo.errors';
import { findLocalMongod, firstWay } from '../../../src/mongo/mongod-binary';
import { describeMissingLibraries, inspectMongod } from '../../../src/mongo/mongod-check';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gridstow-binary-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A program that answers --version the way a mongod of that version does. */
async function aMongod(path: string, version = '6.0.5'): Promise<string> {
  return await aProgram(path, `echo "db version v${version}"`);
}

async function aProgram(path: string, body: string): Promise<string> {
  const file = join(folder, path);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, `#!/bin/sh\n${body}\n`);
  await chmod(file, 0o755);
  return file;
}

describe('findLocalMongod', () => {
  it('takes the named binary first, then the PATH, then the earlier download', async () => {
    const named = await aMongod('elsewhere/server');
    const onPath = await aMongod('bin/mongod');
    const cached = await aMongod('home/mongod/mongod');
    const dataDir = join(folder, 'home');
    const PATH = `${join(folder, 'empty')}:${join(folder, 'bin')}`;

    const found = [
      await findLocalMongod({ dataDir, env: { GRIDSTOW_MONGOD: named, PATH } }),
      await findLocalMongod({ dataDir, env: { PATH } }),
      await findLocalMongod({ dataDir, env: {} }),
      await findLocalMongod({ dataDir: join(folder, 'other'), env: {} }),
    ];

    expect(found).toEqual([named, onPath, cached, null]);
  });

  it('takes the earlier download when the one on the PATH is too old', async () => {
    await aMongod('bin/mongod', '4.4.29');
    const cached = await aMongod('home/mongod/mongod');

    const found = await findLocalMongod({
      dataDir: join(folder, 'home'),
      env: { PATH: join(folder, 'bin') },
    });

    expect(found).toBe(cached);
  });

  it('refuses to look further when the named binary cannot be used', async () => {
    await aMongod('home/mongod/mongod');
    const env = { GRIDSTOW_MONGOD: join(folder, 'nothing') };

    const search = findLocalMongod({ dataDir: join(folder, 'home'), env });

    await expect(search).rejects.toThrow(MongodMissingError);
    await expect(search).rejects.toThrow(/^GRIDSTOW_MONGOD=.*nothing cannot be used: /);
  });
});

describe('firstWay', () => {
  it('stops at the first way that leads somewhere', async () => {
    const tried: string[] = [];
    const way = (name: string, answer: string | null) => ({
      name,
      find: () => {
        tried.push(name);
        return Promise.resolve(answer);
      },
    });

    const binary = await firstWay([way('a', null), way('b', '/b'), way('c', '/c')]);

    expect(binary).toBe('/b');
    expect(tried).toEqual(['a', 'b']);
  });

  it('names every way tried, why it failed, and what to do', async () => {
    const search = firstWay([
      { name: 'one way', find: () => Promise.resolve(null) },
      {
        name: 'another',
        find: (miss) => {
          miss('no route');
          return Promise.resolve(null);
        },
      },
    ]);

    await expect(search).rejects.toThrow(
      /Tried: one way \(none\), another \(no route\)\. Install MongoDB 6 or later .*GRIDSTOW_MONGOD.*MONGODB_URI/,
    );
  });
});

describe('inspectMongod', () => {
  it('accepts a server that is new enough', async () => {
    expect(await inspectMongod(await aMongod('mongod', '8.0.1'))).toBeNull();
  });

  it.each([
    ['an old server', 'echo "db version v5.0.9"', /MongoDB 5\.0\.9, and 6 or later/],
    ['another program', 'echo hello', /does not answer --version/],
    ['a program that fails', 'echo broken >&2; exit 3', /does not run: broken/],
    [
      'a server whose libraries are missing',
      'echo "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file" >&2; exit 127',
      /needs libcurl\.so\.4, which this system lacks.*apt-get install -y libcurl4$/,
    ],
  ])('refuses %s', async (_, body, message) => {
    expect(await inspectMongod(await aProgram('mongod', body))).toMatch(message);
  });
});

describe('describeMissingLibraries', () => {
  it('names each package once', () => {
    expect(describeMissingLibraries(['libssl.so.3', 'libcrypto.so.3', 'liblzma.so.5'])).toBe(
      'it needs libssl.so.3, libcrypto.so.3, liblzma.so.5, which this system lacks; on Debian or Ubuntu run: apt-get install -y libssl3 liblzma5',
    );
  });

  it('gives no command for libraries it does not know', () => {
    expect(describeMissingLibraries(['libodd.so.1'])).toBe(
      'it needs libodd.so.1, which this system lacks',
    );
  });
});
