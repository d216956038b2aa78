import { createRequire } from 'node:module';
import { join } from 'node:path';

import type { io } from '@tensorflow/tfjs-core';

/** The part of TensorFlow.js that decides who handles a URL. */
export interface RouterRegistry {
  readonly io: Pick<typeof io, 'registerLoadRouter' | 'registerSaveRouter'>;
}

const CORE = '@tensorflow/tfjs-core';
/** Packages that bring a copy of the core; a copy nested in one of them is what their users load with. */
const BRINGERS = [
  '@tensorflow/tfjs',
  '@tensorflow/tfjs-node',
  '@tensorflow/tfjs-node-gpu',
  '@tensorflow/tfjs-layers',
  '@tensorflow/tfjs-converter',
];

/**
 * Every copy of TensorFlow.js that the running program can load models with.
 *
 * Each copy has a registry of its own, so the program's are looked up from its main script, not
 * from here. Only the core is loaded by this: no backend, no native library.
 */
export function findCallerTfjs(): RouterRegistry[] {
  const script = process.argv[1];
  const bases = [...(script === undefined ? [] : [script]), join(process.cwd(), 'any.js')];
  const cores = new Set<string>();
  for (const base of bases) {
    addResolved(cores, base, CORE);
    for (const bringer of BRINGERS) {
      const found = resolveFrom(base, bringer);
      if (found === null) continue;
      addResolved(cores, found, CORE);
      // tfjs-node reaches the core through the package of everything.
      const everything = resolveFrom(found, '@tensorflow/tfjs');
      if (everything !== null) addResolved(cores, everything, CORE);
    }
  }
  return [...cores].map((path) => createRequire(__filename)(path) as RouterRegistry);
}

function addResolved(paths: Set<string>, base: string, name: string): void {
  const path = resolveFrom(base, name);
  if (path !== null) paths.add(path);
}

function resolveFrom(base: string, name: string): string | null {
  try {
    return createRequire(base).resolve(name);
  } catch {
    return null;
  }
}
