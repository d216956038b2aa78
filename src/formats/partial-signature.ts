import { type DType, type Signature, type TensorSpec } from '../common/tensor';
import { type FaultLog, quoted, quotedList } from './fault-log';
import { areCompatible, inputShapeFault, mergeShapes, type Shape } from './tensor-shape';

/** A tensor of a model as far as the file tells. */
export interface PartialSpec {
  readonly name: string;
  readonly dtype: DType | undefined;
  readonly shape: Shape | undefined;
  /** Where the file speaks of it, for faults. */
  readonly path: string;
}

export interface PartialSignature {
  readonly inputs: readonly PartialSpec[];
  readonly outputs: readonly PartialSpec[];
}

export interface CompletedSignature {
  readonly signature: Signature;
  readonly outputsComplete: boolean;
}

/**
 * Joins what the file says with what the uploader states about it.
 *
 * Inputs must be known to the last: without type and shape nothing can be fed. Outputs show
 * themselves in the test load.
 */
export function completeSignature(
  { inputs, outputs }: PartialSignature,
  stated: Signature | undefined,
  faults: FaultLog,
): CompletedSignature {
  const known = {
    inputs: joinStated(inputs, stated?.inputs, 'inputs', faults),
    outputs: joinStated(outputs, stated?.outputs, 'outputs', faults),
  };
  for (const spec of known.inputs) checkInput(spec, faults);
  return {
    signature: { inputs: known.inputs.map(toSpec), outputs: known.outputs.map(toSpec) },
    outputsComplete: known.outputs.every(({ dtype, shape }) => dtype && shape),
  };
}

function checkInput({ name, dtype, shape, path }: PartialSpec, faults: FaultLog): void {
  const say = 'say so in the signature of the metadata';
  if (!dtype) faults.add(path, `the type of the input ${quoted(name)} is not known; ${say}`);
  if (!shape) {
    faults.add(path, `the shape of the input ${quoted(name)} is not known; ${say}`);
    return;
  }
  const fault = inputShapeFault(shape);
  if (fault !== undefined) faults.add(path, `the input ${quoted(name)} cannot be fed: ${fault}`);
}

function joinStated(
  specs: readonly PartialSpec[],
  stated: readonly TensorSpec[] | undefined,
  side: keyof Signature,
  faults: FaultLog,
): readonly PartialSpec[] {
  if (!stated || stated.length === 0) return specs;
  const byName = new Map(stated.map((spec, index) => [spec.name, { spec, index }]));
  for (const [name, { index }] of byName) {
    if (!specs.some((spec) => spec.name === name)) {
      const own = quotedList(specs.map((spec) => spec.name));
      faults.add(`metadata.signature.${side}[${index}]`, `the model's ${side} are ${own}`);
    }
  }
  return specs.map((spec) => {
    const found = byName.get(spec.name);
    if (!found) return spec;
    const { dtype, shape } = found.spec;
    const at = `metadata.signature.${side}[${found.index}]`;
    if (spec.dtype && spec.dtype !== dtype) {
      faults.add(`${at}.dtype`, `the model says ${spec.dtype}`);
    }
    if (spec.shape && !areCompatible(spec.shape, shape)) {
      faults.add(`${at}.shape`, `the model says [${spec.shape.join(', ')}]`);
    }
    return { ...spec, dtype: spec.dtype ?? dtype, shape: mergeShapes(spec.shape, shape) };
  });
}

function toSpec({ name, dtype = 'float32', shape = [] }: PartialSpec): TensorSpec {
  return { name, dtype, shape };
}
