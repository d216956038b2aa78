import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { figuresDocument, type Measured } from '../bench/figures-document';

/** Writes docs/figures.md anew from bench/results, so that no figure is typed by hand. */
const root = join(__dirname, '../..');
const results = join(root, 'bench/results');
const measured = (existsSync(results) ? readdirSync(results) : [])
  .filter((path) => path.endsWith('.json'))
  .sort()
  .map((path): Measured => {
    const content = readFileSync(join(results, path), 'utf8');
    return {
      name: path.replace(/\.json$/, ''),
      ...(JSON.parse(content) as Omit<Measured, 'name'>),
    };
  });
writeFileSync(join(root, 'docs/figures.md'), figuresDocument(measured));
console.log(`figures: docs/figures.md from ${measured.length} runs`);
