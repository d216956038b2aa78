import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  forgetResults,
  keepResult,
  type Measuring,
  type Result,
  type ResultsFile,
} from '../../../bench/report';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gridstow-results-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const measured = (commit: string): Measuring => ({
  date: '2026-01-01T00:00:00.000Z',
  commit,
  node: 'v20',
  engine: 'onnx',
});
const answer = (question: string, rounds = 1): Result => ({
  ...{ question, unit: 'x/s', rounds, figures: [], comparisons: [], notes: [] },
});
const read = (): ResultsFile =>
  JSON.parse(readFileSync(join(folder, 'predict.json'), 'utf8')) as ResultsFile;

describe('keepResult', () => {
  it('writes each result as it comes: what fails later takes nothing along', () => {
    keepResult('predict', measured('a'), answer('first'), folder);
    expect(read().results.map(({ question }) => question)).toEqual(['first']);

    keepResult('predict', measured('a'), answer('second'), folder);
    expect(read().results.map(({ question }) => question)).toEqual(['first', 'second']);
    expect(readdirSync(folder)).toEqual(['predict.json']);
  });

  it('puts a newer answer in the place of the older one and leaves the others with their run', () => {
    keepResult('predict', measured('a'), answer('first'), folder);
    keepResult('predict', measured('a'), answer('second'), folder);

    keepResult('predict', measured('b'), answer('first', 5), folder);

    expect(read().commit).toBe('b');
    expect(read().results).toMatchObject([
      { question: 'first', rounds: 5, measured: { commit: 'b' } },
      { question: 'second', rounds: 1, measured: { commit: 'a' } },
    ]);
  });

  it('takes results that do not name their run for those of the file', () => {
    const file = { ...measured('old'), results: [answer('first')] };
    writeFileSync(join(folder, 'predict.json'), JSON.stringify(file));

    keepResult('predict', measured('new'), answer('second'), folder);

    expect(read().results[0]?.measured?.commit).toBe('old');
  });
});

describe('forgetResults', () => {
  it('leaves nothing of one bench, and nothing to do where there was nothing', () => {
    keepResult('predict', measured('a'), answer('first'), folder);

    forgetResults('predict', folder);
    forgetResults('predict', folder);

    expect(readdirSync(folder)).toEqual([]);
  });
});
