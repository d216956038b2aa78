import { createRequire } from 'node:module';

/** The optional package behind the node engine; `npm run native` installs it. */
export const NATIVE_PACKAGE = '@tensorflow/tfjs-node';

/**
 * Whether the package is there to be tried, found out without loading it: a native library that
 * crashes must do so in an executor.
 */
export function hasNativePackage(): boolean {
  try {
    createRequire(__filename).resolve(NATIVE_PACKAGE);
    return true;
  } catch {
    return false;
  }
}
