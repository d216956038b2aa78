import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { figuresDocument, type Measured } from '../../../bench/figures-document';

const root = join(__dirname, '../../..');

it('docs/figures.md says what bench/results says; npm run figures renews it', () => {
  const results = join(root, 'bench/results');
  const measured = readdirSync(results)
    .sort()
    .map((path): Measured => ({
      name: path.replace(/\.json$/, ''),
      ...(JSON.parse(readFileSync(join(results, path), 'utf8')) as Omit<Measured, 'name'>),
    }));

  expect(measured.length).toBeGreaterThan(0);
  expect(readFileSync(join(root, 'docs/figures.md'), 'utf8')).toBe(figuresDocument(measured));
});
