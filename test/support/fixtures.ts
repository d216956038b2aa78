import { join, resolve } from 'node:path';

/** A file or folder of the shared test material: real models, images and data. */
export function fixturePath(name: string): string {
  const root = process.env['GRIDSTOW_FIXTURES'] ?? resolve(__dirname, '../../../shared/fixtures');
  return join(root, name);
}
