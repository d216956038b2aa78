// Where `npm run native` keeps the native engine, and how the service comes to see it.
import { existsSync, lstatSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const PACKAGE = '@tensorflow/tfjs-node';

/** Outside node_modules: npm would take it for a leftover there and remove it with its next change. */
export const nativeHome = (root) => join(root, '.gridstow', 'native');

/** Written last, so a half-finished installation is never linked. */
export const readyMark = (root) => join(nativeHome(root), 'ready.json');

/** Makes an installed native engine loadable from the service; true when there was something to do. */
export function linkNative(root) {
  const target = join(nativeHome(root), 'node_modules', PACKAGE);
  const link = join(root, 'node_modules', PACKAGE);
  if (!existsSync(readyMark(root)) || !existsSync(target) || existsSync(link)) return false;
  // A link that leads nowhere is there for lstat only.
  if (lstatSync(link, { throwIfNoEntry: false })) rmSync(link);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(target, link, 'junction');
  return true;
}
