import { existsSync } from 'node:fs';
import { join, sep } from 'node:path';

/**
 * The compiled file behind a thread or child process entry, e.g. `codec.entry`.
 *
 * Under Jest the sources run as TypeScript, which a thread of its own cannot load: there the
 * compiled twin in dist/ is used, which `pretest` has just built.
 */
export function entryPath(folder: string, name: string): string {
  const here = join(folder, `${name}.js`);
  if (existsSync(here)) return here;
  return join(folder.replace(`${sep}src${sep}`, `${sep}dist${sep}src${sep}`), `${name}.js`);
}
