import { type NamedTensors, type Tensor } from '../../src/common/tensor';
import { type LoadableVersion } from '../../src/models/version';
import {
  assembleModel,
  type CompiledForm,
  type CompiledModel,
  decodeForm,
  encodeForm,
} from '../../src/runtime/compile/compiled-form';
import { compileModel, type ModelParts } from '../../src/runtime/compile/compile-model';
import { COMPILER_VERSION } from '../../src/runtime/compile/compiler-version';
import { type Constant } from '../../src/runtime/compile/constant';
import { constantsOf } from '../../src/runtime/engines/onnx-compiled';
import { GridfsIoHandler } from '../../src/runtime/gridfs-io-handler';
import { floats, isClose } from './golden';
import { aVersion, MemorySource } from './loadable';

/** Compiles the files of an artifact as an engine does: into a form to store, which is then loaded. */
export async function compiled(
  files: ReadonlyMap<string, Uint8Array>,
  version: Partial<LoadableVersion> = {},
): Promise<CompiledModel> {
  const { form, weights } = await compiledParts(files, version);
  return assembleModel(decodeForm(encodeForm(form), COMPILER_VERSION), weights);
}

/** What the compiler makes of an artifact, and the weights that belong to it. */
export async function compiledParts(
  files: ReadonlyMap<string, Uint8Array>,
  version: Partial<LoadableVersion> = {},
): Promise<{ readonly form: CompiledForm; readonly weights: ReadonlyMap<string, Constant> }> {
  const loadable = aVersion(files, version);
  const handler = new GridfsIoHandler(loadable, new MemorySource(files));
  const { artifacts, weights } = await handler.open();
  const constants = await constantsOf(weights());
  const format = loadable.format as ModelParts['format'];
  const form = compileModel({ ...artifacts, format, weights: constants }, loadable.signature);
  return { form, weights: constants };
}

/** What differs between two answers by more than 1e-5 relative and, unless told, 1e-6 absolute. */
export function differencesBetween(
  actual: NamedTensors,
  expected: NamedTensors,
  absolute = 1e-6,
): string[] {
  return Object.entries(expected).flatMap(([name, tensor]) => {
    const other = actual[name];
    if (!other) return [`${name} is missing`];
    if (other.dtype !== tensor.dtype) return [`${name} is ${other.dtype}, not ${tensor.dtype}`];
    if (other.shape.join() !== tensor.shape.join()) {
      return [`${name} is of shape ${other.shape.join()}, not ${tensor.shape.join()}`];
    }
    const at = firstDifference(other, tensor, absolute);
    return at === null ? [] : [`${name} ${at}`];
  });
}

function firstDifference(actual: Tensor, expected: Tensor, absolute: number): string | null {
  const [one, two] =
    expected.dtype === 'bool' ? [actual.data, expected.data] : [floats(actual), floats(expected)];
  let count = 0;
  let worst = 0;
  let where = '';
  two.forEach((value, index) => {
    const other = one[index]!;
    if (isClose(other, value, absolute)) return;
    count++;
    const by = Math.abs(other - value);
    if (!(by <= worst)) {
      worst = by;
      where = `[${index}] is ${other}, not ${value}`;
    }
  });
  return count === 0 ? null : `${where}; ${count} of ${two.length} differ`;
}
