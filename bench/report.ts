import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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

/** What a run depends on, beside the machine. */
export interface Measuring {
  readonly date: string;
  readonly commit: string;
  readonly node: string;
  readonly engine: string;
}

/** A result with the run that it comes from: a file can hold those of several. */
export type KeptResult = Result & { readonly measured?: Measuring };

/** A file of bench/results; what stands at its top is the newest run. */
export interface ResultsFile extends Measuring {
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGiB: number;
    readonly platform: string;
  };
  readonly results: readonly KeptResult[];
}

/** What is measured now, on this machine. */
export function measuringNow(engine: string): Measuring {
  return { date: new Date().toISOString(), commit: commit(), node: process.version, engine };
}

/**
 * Enters one result into the file of its bench, in the place of an earlier answer to the same
 * question. A run of all questions begins with an empty file, a slice leaves the others as they are.
 */
export function keepResult(
  name: string,
  measured: Measuring,
  result: Result,
  folder = join(ROOT, 'bench/results'),
): void {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.json`);
  const kept = resultsIn(path);
  const entry: KeptResult = { ...result, measured };
  const at = kept.findIndex(({ question }) => question === result.question);
  const content: ResultsFile = {
    ...measured,
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      memoryGiB: Math.round(totalmem() / 1024 ** 3),
      platform: `${process.platform} ${process.arch}`,
    },
    results: at < 0 ? [...kept, entry] : kept.with(at, entry),
  };
  // Whole or not at all: a run can be interrupted in the middle of a write.
  writeFileSync(`${path}.new`, `${JSON.stringify(content, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

function resultsIn(path: string): readonly KeptResult[] {
  if (!existsSync(path)) return [];
  const { date, commit, node, engine, results } = JSON.parse(
    readFileSync(path, 'utf8'),
  ) as ResultsFile;
  return results.map((result) => ({ measured: { date, commit, node, engine }, ...result }));
}

/** Removes what earlier runs of a bench measured. */
export function forgetResults(name: string, folder = join(ROOT, 'bench/results')): void {
  rmSync(join(folder, `${name}.json`), { force: true });
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
