import { quoted } from '../../fault-log';
import {
  asMutable,
  type LayerDraft,
  type MutableJson,
  type Rewriting,
  titleOf,
} from '../topology-json';

/** Everything that is computed in float32 here; narrower weights are widened when they are read. */
const AS_FLOAT32 = /^(?:float(?:16|32|64)|bfloat16|mixed_b?float16)$/;

/** A layer's type may be a policy object; TensorFlow.js knows names only, and computes in float32. */
export function rewriteDtypePolicy(layer: LayerDraft, { faults }: Rewriting): void {
  const name = policyName(layer.config['dtype']);
  if (name === null) return;
  if (AS_FLOAT32.test(name)) layer.config['dtype'] = 'float32';
  else if (typeof layer.config['dtype'] === 'object') {
    if (/^(?:u?int\d+|bool|string)$/.test(name)) layer.config['dtype'] = name;
    else {
      faults.add(
        `${layer.path}.config.dtype`,
        `${titleOf(layer)} computes by the policy ${quoted(name)}, which TensorFlow.js does not have. Save the model in float32`,
      );
    }
  }
  if ((layer.config['quantization_config'] ?? null) !== null) {
    faults.add(
      `${layer.path}.config.quantization_config`,
      `${titleOf(layer)} is quantised by Keras, which TensorFlow.js cannot compute. Save the model before it is quantised`,
    );
  }
}

/** The same for a model, whose policy only its layers follow. */
export function dropModelPolicy(config: MutableJson): void {
  if (typeof config['dtype'] === 'object') delete config['dtype'];
}

function policyName(dtype: unknown): string | null {
  if (typeof dtype === 'string') return dtype;
  const policy = asMutable(dtype);
  if (!policy) return null;
  const name = asMutable(policy['config'])?.['name'];
  return typeof name === 'string' ? name : String(policy['class_name']);
}
