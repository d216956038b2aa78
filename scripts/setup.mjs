// `node scripts/setup.mjs [--no-mongod]`: makes a clone ready to run. Run before start, demo, test
// and check. Plain Node without packages, because it may be the first thing that runs at all.
// Prints one line per thing it does, and nothing when nothing is to do.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { linkNative } from './native-link.mjs';
import { localHeaders, npm, run, seconds, tail } from './run-command.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const at = (...parts) => join(root, ...parts);
const say = (line) => console.log(`setup: ${line}`);

/** Ends the set-up with one sentence that says what to do. */
class SetupError extends Error {}

/* Dependencies: installed for this very lock file by this script, or by hand and complete. */

const INSTALLED = at('node_modules', '.installed-for');
const manifests = () =>
  createHash('sha256')
    .update(readFileSync(at('package.json')))
    .update(readFileSync(at('package-lock.json')))
    .digest('hex');

function hasDependencies() {
  const record = at('node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  if (existsSync(INSTALLED) && readFileSync(INSTALLED, 'utf8') === manifests()) return true;
  const packages = (path) => JSON.parse(readFileSync(path, 'utf8')).packages;
  const installed = packages(record);
  return Object.entries(packages(at('package-lock.json'))).every(
    ([path, { version, optional }]) =>
      path === '' || optional || installed[path]?.version === version,
  );
}

function installDependencies() {
  if (hasDependencies()) return;
  assertBuildTools();
  say('installing dependencies (one of them is compiled here, which can take a minute)');
  const started = Date.now();
  // Not `npm ci`: it refuses a lock file that was written where the optional packages of other
  // platforms could not be seen. This takes the versions of the lock file and leaves it alone.
  const command = npm('install', '--no-save', '--include=dev', '--no-audit', '--no-fund');
  const { ok, output } = run(command, {
    cwd: root,
    // ONNX Runtime's install script would fetch graphics libraries that nothing here uses.
    env: { ONNXRUNTIME_NODE_INSTALL: 'skip', ...localHeaders() },
  });
  if (!ok) {
    process.stderr.write(`${tail(output)}\n`);
    throw new SetupError(
      'npm install failed (its last lines are above); check that the package registry can be reached, and run the command again',
    );
  }
  writeFileSync(INSTALLED, manifests());
  say(`dependencies installed in ${seconds(started)}`);
}

function assertBuildTools() {
  if (process.platform === 'win32') return;
  const works = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
  if (![process.env.CXX, 'c++', 'g++', 'clang++'].filter(Boolean).some(works)) {
    throw new SetupError(
      'A C++ compiler is needed to build the compression library: install one (Debian and Ubuntu: apt-get install -y g++ make; macOS: xcode-select --install) and run the command again',
    );
  }
  if (!works('make')) {
    throw new SetupError(
      'make is needed to build the compression library: install it (Debian and Ubuntu: apt-get install -y make) and run the command again',
    );
  }
  if (
    ![process.env.PYTHON, process.env.npm_config_python, 'python3', 'python']
      .filter(Boolean)
      .some(works)
  ) {
    throw new SetupError(
      'Python 3 is needed to build the compression library: install it (Debian and Ubuntu: apt-get install -y python3) and run the command again',
    );
  }
}

/* Build: repeated when a source file appeared, went, or changed since the last one that succeeded. */

const STAMP = at('dist', '.build-stamp.json');

function sourceState() {
  const files = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];
  for (const folder of ['src', 'scripts', 'bench']) {
    if (!existsSync(at(folder))) continue;
    for (const entry of readdirSync(at(folder), { recursive: true, withFileTypes: true })) {
      if (entry.isFile() && /\.(ts|json)$/.test(entry.name)) {
        files.push(relative(root, join(entry.parentPath ?? entry.path, entry.name)));
      }
    }
  }
  const hash = createHash('sha256');
  for (const file of files.sort()) {
    const { mtimeMs, size } = statSync(at(file));
    hash.update(`${file}\0${mtimeMs}\0${size}\n`);
  }
  return { hash: hash.digest('hex'), files };
}

function lastBuild() {
  try {
    return JSON.parse(readFileSync(STAMP, 'utf8'));
  } catch {
    return { hash: '', files: [] };
  }
}

function build() {
  // Taken before the compiler reads: an edit in between is built next time.
  const state = sourceState();
  const last = lastBuild();
  if (state.hash === last.hash) return;
  say('building');
  const started = Date.now();
  // The compiler's own memory must not outlive what it remembers.
  if (last.hash === '') rmSync(at('dist/.tsbuildinfo'), { force: true });
  const compiler = at('node_modules/typescript/bin/tsc');
  const { ok, output } = run([process.execPath, compiler, '-p', 'tsconfig.build.json'], {
    cwd: root,
  });
  if (!ok) {
    process.stderr.write(`${tail(output)}\n`);
    throw new SetupError('the build failed (the compiler says why above)');
  }
  removeOutputs(last.files.filter((file) => !state.files.includes(file)));
  writeFileSync(STAMP, JSON.stringify(state));
  say(`built in ${seconds(started)}`);
}

/** What a source that is gone has left in dist/ could still be loaded. */
function removeOutputs(sources) {
  for (const source of sources.filter((file) => file.endsWith('.ts'))) {
    for (const suffix of ['.js', '.js.map', '.d.ts']) {
      rmSync(at('dist', source.replace(/\.ts$/, suffix)), { force: true });
    }
  }
}

/* MongoDB: the compiled service knows where a mongod can come from. */

const wantsMongod = !process.argv.includes('--no-mongod') && !process.env.MONGODB_URI?.trim();

async function mongodSearch() {
  const compiled = pathToFileURL(at('dist/src/mongo/mongod-binary.js'));
  const { findLocalMongod, resolveMongodBinary } = await import(compiled.href);
  const env = process.env;
  const dataDir = resolve(root, env.GRIDSTOW_DATA_DIR?.trim() || '.gridstow');
  return {
    find: () => findLocalMongod({ dataDir, env }),
    fetch: () => resolveMongodBinary({ dataDir, env, log: say }),
  };
}

async function provideMongod() {
  if (!wantsMongod) return;
  const search = await mongodSearch();
  if ((await search.find()) !== null) return;
  say('looking for a MongoDB server');
  const started = Date.now();
  const binary = await search.fetch();
  say(`MongoDB server ready in ${seconds(started)}: ${binary}`);
}

async function isReady() {
  if (!hasDependencies() || sourceState().hash !== lastBuild().hash) return false;
  return !wantsMongod || (await (await mongodSearch()).find()) !== null;
}

/* One set-up at a time: a folder that only one process can make, with the process id inside. */

const LOCK = at('.gridstow', 'setup.lock');

async function withLock(work) {
  mkdirSync(dirname(LOCK), { recursive: true });
  let hasSaid = false;
  for (;;) {
    try {
      mkdirSync(LOCK);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const owner = lockOwner();
    if (owner !== null && !isAlive(owner)) {
      rmSync(LOCK, { recursive: true, force: true });
      continue;
    }
    if (!hasSaid) say(`waiting for another set-up of this clone (process ${owner ?? 'unknown'})`);
    hasSaid = true;
    await sleep(250);
  }
  const unlock = () => rmSync(LOCK, { recursive: true, force: true });
  process.once('exit', unlock);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
  writeFileSync(join(LOCK, 'pid'), String(process.pid));
  await work();
}

/** Null while the owner has not written its id yet; a lock that never gets one counts as dead. */
function lockOwner() {
  try {
    return Number(readFileSync(join(LOCK, 'pid'), 'utf8')) || null;
  } catch {
    const age = Date.now() - (statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    return age > 10_000 ? -1 : null;
  }
}

function isAlive(pid) {
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function assertNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new SetupError(`Node 20.19 or later is needed; this is ${process.version}`);
  }
}

try {
  assertNode();
  if (!(await isReady())) {
    await withLock(async () => {
      installDependencies();
      build();
      await provideMongod();
    });
  }
  if (linkNative(root)) say('linked the native engine again (npm run native installed it earlier)');
} catch (error) {
  console.error(
    `setup: ${error instanceof SetupError || error.code === 'mongod_missing' ? error.message : error.stack}`,
  );
  process.exit(1);
}
