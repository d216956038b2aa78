// `npm run check`: every gate that needs no database; none begins once another has failed. With
// `-- --static` all but the unit tests, for those who run all tests next.
import { spawn } from 'node:child_process';

const lint = ['lint', ['eslint', '--max-warnings', '0', '.']];
const others = [
  ['format', ['prettier', '--check', '--log-level', 'warn', '.']],
  ['types', ['tsc', '--noEmit']],
  [
    'layers',
    ['depcruise', '--config', '.dependency-cruiser.cjs', 'src', 'scripts', 'test', 'bench'],
  ],
  ['dead code', ['knip']],
];
const unitTests = ['unit tests', ['jest', '--selectProjects', 'unit']];

/** Runs a gate and hands on what it says, when it is over if another one talks meanwhile. */
async function run([name, [command, ...args]], stdio = 'pipe') {
  if (process.exitCode !== undefined) return;
  const started = Date.now();
  console.log(`check: ${name}`);
  const child = spawn('npx', ['--no-install', command, ...args], {
    stdio: ['inherit', stdio, stdio],
  });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => said.push(text));
  const status = await new Promise((resolve) => child.once('close', resolve));
  process.stdout.write(Buffer.concat(said));
  if (status !== 0) {
    console.error(`check: ${name} failed`);
    process.exitCode = status ?? 1;
    return;
  }
  console.log(`check: ${name} passed in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

async function runInTurn(gates) {
  for (const gate of gates) await run(gate);
}

// Linting takes as long as all others together.
await Promise.all([run(lint), runInTurn(others)]);
if (!process.argv.includes('--static')) await run(unitTests, 'inherit');
