import { type Signature } from '../../common/tensor';
import { NotCompiledError } from '../runtime.errors';
import { type CompiledEndpoint, type CompiledForm, type CompiledInput } from './compiled-form';
import { COMPILER_VERSION } from './compiler-version';
import { type Constant } from './constant';
import { compileGraph, ownEndpoints } from './graph-compiler';
import { GraphBuilder } from './graph-builder';
import { compileLayers } from './layers-compiler';
import { graphEndpoints, orderNames } from './model-names';
import { type Value } from './value';

/** A TensorFlow.js model as its loader hands it over. */
export interface ModelParts {
  readonly format: 'tfjs-layers' | 'tfjs-graph';
  readonly modelTopology?: unknown;
  readonly weights: ReadonlyMap<string, Constant>;
  /** Of a graph: its own signature, which knows what its author called the tensors. */
  readonly signature?: unknown;
  readonly userDefinedMetadata?: unknown;
}

/**
 * Compiles a model to a graph of ONNX whose weights stay where they are.
 *
 * Pure: the same model gives the same form. That both compute the same is for others to prove.
 *
 * @throws NotCompiledError naming what has no ONNX form
 */
export function compileModel(parts: ModelParts, wanted: Signature): CompiledForm {
  const b = new GraphBuilder();
  const { weights } = parts;
  if (parts.format === 'tfjs-layers') {
    const { inputs, outputs } = compileLayers(b, parts.modelTopology, weights);
    const name = (side: 'input' | 'output', list: typeof inputs, specs: Signature['inputs']) => {
      const names = orderNames(
        side,
        list.map(({ layer }) => layer),
        specs,
      );
      return list.map(({ value }, index) => ({ name: names[index] ?? '', value }));
    };
    return finish(b, name('input', inputs, wanted.inputs), name('output', outputs, wanted.outputs));
  }
  const { inputs: ownInputs, outputs: ownOutputs } = ownEndpoints(parts.modelTopology);
  const own = signatureOf(parts);
  const from = graphEndpoints(wanted.inputs, ownInputs, own.inputs);
  const to = graphEndpoints(
    wanted.outputs,
    own.outputs ? nodesOf(own.outputs) : ownOutputs,
    own.outputs,
  );
  const { inputs, outputs } = compileGraph(b, parts.modelTopology, weights, from, to);
  const name = (ends: typeof from, values: readonly Value[]) =>
    ends.flatMap(({ name: own }, index) => {
      const value = values[index];
      return value ? [{ name: own, value }] : [];
    });
  return finish(b, name(from, inputs), name(to, outputs));
}

interface Named {
  readonly name: string;
  readonly value: Value;
}

function finish(
  b: GraphBuilder,
  inputs: readonly Named[],
  outputs: readonly Named[],
): CompiledForm {
  if (outputs.length === 0) throw new NotCompiledError('The model has no outputs');
  const describe =
    (prefix: string) =>
    ({ name, value: { dtype, shape } }: Named, index: number): CompiledEndpoint => ({
      name,
      dtype,
      shape,
      onnxName: `${prefix}${index}`,
    });
  const graph = b.finish(outputs.map(({ value }) => value));
  return {
    release: COMPILER_VERSION,
    graph,
    inputs: inputs.map(describe('in')).map((input, index): CompiledInput => {
      const fedShape = graph.inputs[index]?.shape ?? input.shape;
      return fedShape.join() === input.shape.join() ? input : { ...input, fedShape };
    }),
    outputs: outputs.map(describe('out')),
  };
}

type SignatureTensors = Readonly<Record<string, { readonly name: string }>>;

/** A signature in the metadata of the author goes before that of the model. */
function signatureOf({ signature, userDefinedMetadata }: ModelParts): {
  readonly inputs?: SignatureTensors;
  readonly outputs?: SignatureTensors;
} {
  const metadata = userDefinedMetadata as { readonly signature?: unknown } | undefined;
  return metadata?.signature ?? signature ?? {};
}

function nodesOf(tensors: SignatureTensors): string[] {
  return Object.values(tensors).map(({ name }) => name);
}
