import { type LoadableVersion } from '../../models/version';
import { type CompiledModel, compileModel } from '../compile/compile-model';
import { type Constant } from '../compile/constant';
import { toConstant } from '../compile/to-constant';
import { GridfsIoHandler } from '../gridfs-io-handler';
import { ModelUnloadableError, NotCompiledError } from '../runtime.errors';
import { type FileSource } from './engine';

/**
 * The compiled form of a version, from its stored files.
 *
 * @throws ModelUnloadableError when it has none
 */
export async function compileVersion(
  version: LoadableVersion,
  source: FileSource,
): Promise<CompiledModel> {
  const { format, signature } = version;
  if (format !== 'tfjs-layers' && format !== 'tfjs-graph') {
    throw new ModelUnloadableError(`The onnx engine does not run ${format} artifacts`, {
      engine: 'onnx',
      format,
    });
  }
  const { artifacts, weights } = await new GridfsIoHandler(version, source).open();
  const constants = new Map<string, Constant>();
  for await (const { spec, bytes } of weights()) constants.set(spec.name, toConstant(spec, bytes));
  try {
    return compileModel({ ...artifacts, format, weights: constants }, signature);
  } catch (cause) {
    if (!(cause instanceof NotCompiledError)) throw cause;
    const message = `The onnx engine cannot run the model: ${cause.message}`;
    throw new ModelUnloadableError(message, { engine: 'onnx', ...cause.details }, { cause });
  }
}
