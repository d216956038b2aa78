// `npm run check`: every gate that needs no database, cheapest first; stops at the first that fails.
import { spawnSync } from 'node:child_process';

const gates = [
  ['format', ['prettier', '--check', '--log-level', 'warn', '.']],
  ['types', ['tsc', '--noEmit']],
  ['lint', ['eslint', '--max-warnings', '0', '.']],
  [
    'layers',
    ['depcruise', '--config', '.dependency-cruiser.cjs', 'src', 'scripts', 'test', 'bench'],
  ],
  ['dead code', ['knip']],
  ['unit tests', ['jest', '--selectProjects', 'unit']],
];

for (const [name, [command, ...args]] of gates) {
  const started = Date.now();
  console.log(`check: ${name}`);
  const { status } = spawnSync('npx', ['--no-install', command, ...args], { stdio: 'inherit' });
  if (status !== 0) {
    console.error(`check: ${name} failed`);
    process.exit(status ?? 1);
  }
  console.log(`check: ${name} passed in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}
