import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '../../..');
const span = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, index) => String(first + index));
const CASES = [...span(1, 62), '62b', ...span(63, 87), ...span(138, 141)];

const [numbered = '', onnx = ''] = readFileSync(join(ROOT, 'docs/fault-cases.md'), 'utf8').split(
  '\n## ONNX models\n',
);
const rows = numbered
  .split('\n')
  .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()))
  .filter((cells) => CASES.includes(cells[1] ?? ''));

/** Whether a title cites a number, by itself or within a span such as `2-6`. */
function cites(text: string, number: string): boolean {
  return [...text.matchAll(/\((\d+b?(?:(?:, |-)\d+b?)*)\)/g)]
    .flatMap(([, list]) => (list ?? '').split(', '))
    .some((item) => {
      const [first, last] = item.split('-');
      if (last === undefined) return item === number;
      return Number(number) >= Number(first) && Number(number) <= Number(last);
    });
}

describe('docs/fault-cases.md', () => {
  it('names every case once, in order', () => {
    expect(rows.map(([, number]) => number)).toEqual(CASES);
  });

  it.each(rows.map((cells) => [cells[1] ?? '', cells[3] ?? '']))(
    'says for case %s which test shows it, or why none does',
    (number, test) => {
      const path = /^`([^`]+)`: ./.exec(test)?.[1];
      if (path === undefined) {
        expect(test).toMatch(/^No test.*: .{20}/);
        return;
      }
      expect(existsSync(join(ROOT, path))).toBe(true);
      expect(cites(readFileSync(join(ROOT, path), 'utf8'), number)).toBe(true);
    },
  );

  it.each([...onnx.matchAll(/\| `([^`]+)`: (.+?) +\|$/gm)].map(([, path, title]) => [title, path]))(
    'says rightly that ONNX models have the test: %s',
    (title, path) => {
      expect(readFileSync(join(ROOT, path ?? ''), 'utf8')).toContain(`'${title ?? ''}'`);
    },
  );
});
