import { createRequire } from 'node:module';

import { type EngineName } from './engine';
import { hasNativePackage } from './native-package';

/** The optional package behind the onnx engine; the set-up installs it where there is one. */
export const ONNX_PACKAGE = 'onnxruntime-node';

/** The engines that can be tried here: two come with the service, two with packages of their own. */
export function installedEngines(): ReadonlySet<EngineName> {
  const installed = new Set<EngineName>(['wasm', 'cpu']);
  if (hasOnnxPackage()) installed.add('onnx');
  if (hasNativePackage()) installed.add('node');
  return installed;
}

/** Found out without loading it, for the same reason as the native engine's. */
function hasOnnxPackage(): boolean {
  try {
    createRequire(__filename).resolve(ONNX_PACKAGE);
    return true;
  } catch {
    return false;
  }
}
