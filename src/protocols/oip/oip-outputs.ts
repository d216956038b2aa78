import { type NamedTensors, type Signature, type Tensor } from '../../common/tensor';
import { valuesOf } from '../../common/tensor-values';
import { inOrder } from '../../predictions/outputs-json';
import { jsonSlice } from '../../predictions/tensor-json';
import { type AskedOutput } from './oip-envelope';
import { classifyOutput } from './classify-output';
import { DATATYPE_OF } from './oip-datatypes';
import { type OipRequest } from './read-oip';

/** Outputs as an answer has them: JSON texts, and the bytes that follow the JSON part. */
export interface OipOutputs {
  readonly texts: readonly string[];
  readonly binary: readonly Uint8Array[];
}

/** Encodes the outputs that were asked for, in that order; all of them as the signature has them. */
export function encodeOutputs(
  outputs: NamedTensors,
  asked: Pick<OipRequest, 'outputs' | 'binaryOutput'>,
  signature: Signature,
  labels: readonly string[] | null,
): OipOutputs {
  const texts: string[] = [];
  const binary: Uint8Array[] = [];
  for (const { name, tensor, how } of select(outputs, asked, signature)) {
    const { classes } = how;
    const spec = signature.outputs.find((one) => one.name === name);
    const given = classes === undefined ? tensor : classifyOutput(tensor, spec, classes, labels);
    const { dtype, shape, data } = given;
    const head = `"name":${JSON.stringify(name)},"datatype":"${DATATYPE_OF[dtype]}","shape":[${shape.join(',')}]`;
    if (how.binary) {
      texts.push(`{${head},"parameters":{"binary_data_size":${data.byteLength}}}`);
      binary.push(data);
    } else texts.push(`{${head},"data":${dataJson(given)}}`);
  }
  return { texts, binary };
}

function select(
  outputs: NamedTensors,
  { outputs: asked, binaryOutput }: Pick<OipRequest, 'outputs' | 'binaryOutput'>,
  signature: Signature,
): { readonly name: string; readonly tensor: Tensor; readonly how: AskedOutput }[] {
  if (!asked) {
    return inOrder(outputs, signature).map(([name, tensor]) => ({
      name,
      tensor,
      how: { name, binary: binaryOutput },
    }));
  }
  return asked.flatMap((how) => {
    const tensor = outputs[how.name];
    return tensor ? [{ name: how.name, tensor, how }] : [];
  });
}

/** Flat, and whole numbers of 64 bits with all their digits, which `JSON.stringify` cannot write. */
function dataJson(tensor: Tensor): string {
  const values = valuesOf(tensor);
  return values instanceof BigInt64Array
    ? `[${values.join(',')}]`
    : JSON.stringify(jsonSlice(values));
}
