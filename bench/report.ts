import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';

import { type Figures, type Spread, type Standing } from './alternate';

const ROOT = join(__dirname, '../..');
const NAME_WIDTH = 64;

/** The answer to one question, as it stands in bench/results. */
export interface Result extends Standing {
  readonly question: string;
  readonly unit: string;
  readonly rounds: number;
  readonly notes: readonly string[];
}

export function printResult({ question, unit, rounds, figures, comparisons, notes }: Result): void {
  console.log(`\n${question} [${unit}, median of ${rounds} rounds (min to max)]`);
  for (const figure of figures) {
    const name = `${figure.role.padEnd(5)} ${figure.name}`;
    console.log(
      `  ${name.padEnd(NAME_WIDTH)} ${show(figure.perSecond).padEnd(28)}${extras(figure)}`,
    );
  }
  let ours = '';
  for (const { ours: subject, other, ratio, verdict, unanimous } of comparisons) {
    if (subject !== ours) console.log(`  "${subject}" divided by`);
    ours = subject;
    const judged = unanimous ? verdict : `${verdict}, not in every round`;
    console.log(`    ${other.padEnd(NAME_WIDTH - 2)} ${show(ratio).padEnd(28)}${judged}`);
  }
  for (const note of notes) console.log(`  ${note}`);
}

/** Keeps the results of one bench, with what they depend on. */
export function writeResults(name: string, engine: string, results: readonly Result[]): void {
  const folder = join(ROOT, 'bench/results');
  mkdirSync(folder, { recursive: true });
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    platform: `${process.platform} ${process.arch}`,
  };
  const content = {
    date: new Date().toISOString(),
    commit: commit(),
    node: process.version,
    engine,
    machine,
    results,
  };
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(content, null, 2)}\n`);
}

function extras({ details }: Figures): string {
  return Object.entries(details)
    .map(([name, value]) => `${name} ${digits(value)}`)
    .join('  ');
}

function show({ median, min, max }: Spread): string {
  return `${digits(median)} (${digits(min)} to ${digits(max)})`;
}

function digits(figure: number): string {
  return figure >= 100 ? figure.toFixed(0) : figure.toPrecision(figure >= 10 ? 3 : 2);
}

/** With `+` when the measured sources are not what was committed. */
function commit(): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', ['-C', ROOT, ...args], { stdio: ['ignore', 'pipe', 'ignore'] })
        .toString()
        .trim();
    const changed = git('status', '--porcelain', '--', 'src', 'bench/*.ts', 'package.json');
    return `${git('rev-parse', '--short', 'HEAD')}${changed === '' ? '' : '+'}`;
  } catch {
    return 'unknown';
  }
}
