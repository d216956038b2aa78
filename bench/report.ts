import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';

import { type Figures } from './alternate';

/** The answer to one question, as it stands in bench/results. */
export interface Result {
  readonly question: string;
  readonly unit: string;
  readonly rounds: number;
  readonly figures: readonly Figures[];
  readonly notes: readonly string[];
}

/** Prints the results of one bench as tables and keeps them as JSON. */
export function report(name: string, results: readonly Result[]): void {
  for (const { question, unit, figures, notes } of results) {
    console.log(`\n${question} [${unit}, median (min to max), ratio to ours]`);
    for (const { name: contender, role, median, min, max, ratioToOurs } of figures) {
      const range = `${show(median)} (${show(min)} to ${show(max)})`;
      console.log(
        `  ${role.padEnd(5)} ${contender.padEnd(52)} ${range.padEnd(32)} ${ratioToOurs.toFixed(2)}`,
      );
    }
    for (const note of notes) console.log(`  ${note}`);
  }
  const folder = join(__dirname, '../../bench/results');
  mkdirSync(folder, { recursive: true });
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
  };
  const content = { date: new Date().toISOString(), commit: commit(), machine, results };
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(content, null, 2)}\n`);
}

function show(figure: number): string {
  return figure >= 100 ? figure.toFixed(0) : figure.toPrecision(3);
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD']).toString().trim();
  } catch {
    return 'unknown';
  }
}
