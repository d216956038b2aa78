import { elementCount, type TensorSpec } from '../../common/tensor';
import { NotCompiledError } from '../runtime.errors';
import { bytesOf, type ComputedType, type Constant } from './constant';
import { constantOfRecipe } from './constant-of-recipe';
import { encodeOnnxModel, type OnnxEndpoint, type OnnxNode, type OnnxTensor } from './onnx-model';
import { type Recipe } from './recipe';

/** A tensor of the signature and what the compiled graph calls it. */
export interface CompiledEndpoint extends TensorSpec {
  readonly dtype: ComputedType;
  readonly onnxName: string;
}

export interface CompiledInput extends CompiledEndpoint {
  /** The shape that the graph takes its rows in, where that is another one of the same numbers. */
  readonly fedShape?: readonly number[];
}

/** A constant of the graph: what is made of weights, or a list of whole numbers of 64 bits. */
export type FormTensor =
  | { readonly name: string; readonly recipe: Recipe }
  | { readonly name: string; readonly shape: readonly number[]; readonly list: readonly number[] };

export interface FormGraph {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly FormTensor[];
  readonly inputs: readonly OnnxEndpoint[];
  readonly outputs: readonly OnnxEndpoint[];
}

/**
 * What the compiler makes of a model: an ONNX graph that names the weights of the version instead
 * of holding them, and says what is done to each when the model is loaded.
 *
 * So it is small, it holds no number of a weight, and what is stored quantised stays so.
 */
export interface CompiledForm {
  /** The release of the compiler, which alone can read it. */
  readonly release: number;
  readonly graph: FormGraph;
  readonly inputs: readonly CompiledInput[];
  readonly outputs: readonly CompiledEndpoint[];
}

/** A model in ONNX, its tensors under the names of the signature. */
export interface CompiledModel {
  readonly onnx: Uint8Array;
  readonly inputs: readonly CompiledInput[];
  readonly outputs: readonly CompiledEndpoint[];
}

const BYTES: Readonly<Record<ComputedType, number>> = { float32: 4, int32: 4, bool: 1 };

/** As it is stored: JSON. */
export function encodeForm(form: CompiledForm): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(form));
}

/** @throws NotCompiledError for what this release of the compiler has not written */
export function decodeForm(bytes: Uint8Array, release: number): CompiledForm {
  let form: CompiledForm;
  try {
    form = JSON.parse(new TextDecoder().decode(bytes)) as CompiledForm;
  } catch (cause) {
    throw new NotCompiledError('The compiled form is not JSON', {}, { cause });
  }
  if (form.release === release) return form;
  throw new NotCompiledError(`The compiled form is of release ${form.release}, not ${release}`);
}

/** The names of the weights that a form asks for. */
export function weightsOf({ graph }: CompiledForm): ReadonlySet<string> {
  const names = new Set<string>();
  const visit = (part: unknown): void => {
    if (Array.isArray(part)) part.forEach(visit);
    else if (typeof part === 'object' && part !== null && 'kind' in part) {
      const recipe = part as Recipe;
      if (recipe.kind === 'weight') names.add(recipe.name);
      else Object.values(recipe).forEach(visit);
    }
  };
  for (const tensor of graph.initializers) if ('recipe' in tensor) visit(tensor.recipe);
  return names;
}

/**
 * Puts the weights into a form.
 *
 * @throws NotCompiledError for a weight that is not among them
 */
export function assembleModel(
  { graph, inputs, outputs }: CompiledForm,
  weights: ReadonlyMap<string, Constant>,
): CompiledModel {
  const initializers = graph.initializers.map((tensor): OnnxTensor => {
    const { name } = tensor;
    if ('list' in tensor) {
      const data = new Uint8Array(BigInt64Array.from(tensor.list, BigInt).buffer);
      return { name, type: 'int64', shape: tensor.shape, data };
    }
    const { dtype, shape, read } = constantOfRecipe(tensor.recipe, weights);
    const byteLength = elementCount(shape) * BYTES[dtype];
    return { name, type: dtype, shape, data: { byteLength, read: () => bytesOf(read()) } };
  });
  return { onnx: encodeOnnxModel({ ...graph, initializers }), inputs, outputs };
}
