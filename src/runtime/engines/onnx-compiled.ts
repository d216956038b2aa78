import { ArtifactCorruptError } from '../../artifacts/artifact.errors';
import { compiledFile, type CompiledRef, type LoadableVersion } from '../../models/version';
import {
  assembleModel,
  type CompiledForm,
  type CompiledModel,
  decodeForm,
  encodeForm,
  weightsOf,
} from '../compile/compiled-form';
import { compileModel } from '../compile/compile-model';
import { COMPILER_VERSION } from '../compile/compiler-version';
import { type Constant } from '../compile/constant';
import { toConstant } from '../compile/to-constant';
import { GridfsIoHandler } from '../gridfs-io-handler';
import { ModelUnloadableError, NotCompiledError } from '../runtime.errors';
import { type CompiledAtLoad, type FileSource } from './engine';
import { type WeightBytes } from './weight-bytes';

export interface OpenedForm {
  readonly model: CompiledModel;
  /** Absent where the stored form was good. */
  readonly compiled?: CompiledAtLoad;
}

/**
 * The compiled form of a version with its weights: the one that is stored, where this release of
 * the compiler made it, else a new one. A stored form that cannot be used takes nothing from the
 * version.
 *
 * @throws ModelUnloadableError when the version has no compiled form
 */
export async function openCompiled(
  version: LoadableVersion,
  source: FileSource,
): Promise<OpenedForm> {
  const { format, compiled } = version;
  if (format !== 'tfjs-layers' && format !== 'tfjs-graph') {
    throw new ModelUnloadableError(`The onnx engine does not run ${format} artifacts`, {
      engine: 'onnx',
      format,
    });
  }
  const stored = compiled?.release === COMPILER_VERSION ? compiled : undefined;
  const opened = stored && (await openStored(version, stored, source));
  if (opened && 'onnx' in opened) return { model: opened };
  const form = await compile({ ...version, format }, source);
  // What others will read is what is run, and so what is proven.
  const model = assembleModel(decodeForm(form.bytes, COMPILER_VERSION), form.weights);
  return { model, compiled: { form: form.bytes, damage: opened?.damage ?? null } };
}

async function openStored(
  version: LoadableVersion,
  compiled: CompiledRef,
  source: FileSource,
): Promise<CompiledModel | { readonly damage: string }> {
  let form: CompiledForm;
  try {
    const bytes = new Uint8Array(await source.read(compiledFile(compiled)));
    form = decodeForm(bytes, COMPILER_VERSION);
  } catch (error) {
    if (error instanceof ArtifactCorruptError || error instanceof NotCompiledError) {
      return { damage: error.message };
    }
    throw error;
  }
  // Damage to the weights is damage to the version.
  const { weights } = await new GridfsIoHandler(version, source).open();
  const constants = await constantsOf(weights(), weightsOf(form));
  try {
    return assembleModel(form, constants);
  } catch (error) {
    if (error instanceof NotCompiledError) return { damage: error.message };
    throw error;
  }
}

async function compile(
  version: LoadableVersion & { readonly format: 'tfjs-layers' | 'tfjs-graph' },
  source: FileSource,
): Promise<{ readonly bytes: Uint8Array; readonly weights: ReadonlyMap<string, Constant> }> {
  const { format, signature } = version;
  const { artifacts, weights } = await new GridfsIoHandler(version, source).open();
  try {
    const constants = await constantsOf(weights());
    const form = compileModel({ ...artifacts, format, weights: constants }, signature);
    return { bytes: encodeForm(form), weights: constants };
  } catch (cause) {
    if (!(cause instanceof NotCompiledError)) throw cause;
    const message = `The onnx engine cannot run the model: ${cause.message}`;
    throw new ModelUnloadableError(message, { engine: 'onnx', ...cause.details }, { cause });
  }
}

/** Weights as the compiler takes them: all of them, or those that are wanted. */
export async function constantsOf(
  weights: AsyncIterable<WeightBytes>,
  wanted?: ReadonlySet<string>,
): Promise<Map<string, Constant>> {
  const constants = new Map<string, Constant>();
  for await (const { spec, bytes } of weights) {
    if (wanted?.has(spec.name) !== false) constants.set(spec.name, toConstant(spec, bytes));
  }
  return constants;
}
