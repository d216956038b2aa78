import { type TensorSpec } from '../../common/tensor';
import { type ArtifactFormat } from '../../formats/artifact-format';
import { type BatchingSettings } from '../../models/model.doc';
import { type ResolvedVersion } from '../../models/version-resolver.service';
import { MAX_ROWS } from '../../predictions/parse-inputs';
import { DATATYPE_OF } from './oip-datatypes';

/** The platform of a model as the protocol names it: project and format. */
const PLATFORM: Readonly<Record<ArtifactFormat, string>> = {
  'tfjs-layers': 'tensorflowjs_layers_model',
  'tfjs-graph': 'tensorflowjs_graph_model',
  'tf-saved-model': 'tensorflow_savedmodel',
  onnx: 'onnx_onnxv1',
  opaque: '',
};

interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

export interface ModelMetadata {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

/** @param versions every version that is ready */
export function toMetadata(
  { version }: ResolvedVersion,
  versions: readonly number[],
): ModelMetadata {
  const { model, format, signature } = version;
  const describe = ({ name, dtype, shape }: TensorSpec): TensorMetadata => ({
    name,
    datatype: DATATYPE_OF[dtype],
    shape,
  });
  return {
    name: model,
    versions: versions.map(String),
    platform: PLATFORM[format],
    inputs: signature.inputs.map(describe),
    outputs: signature.outputs.map(describe),
  };
}

interface TensorConfig {
  readonly name: string;
  readonly data_type: string;
  readonly dims: readonly number[];
}

/** The configuration of a model in the terms of Triton. */
export interface ModelConfig {
  readonly name: string;
  readonly platform: string;
  readonly backend: string;
  readonly version_policy: { readonly specific: { readonly versions: readonly number[] } };
  /** 0 for a model that knows no batches; `dims` have no batch dimension otherwise. */
  readonly max_batch_size: number;
  readonly input: readonly TensorConfig[];
  readonly output: readonly TensorConfig[];
  readonly dynamic_batching?: { readonly max_queue_delay_microseconds: number };
}

export function toConfig({ version, batching }: ResolvedVersion): ModelConfig {
  const { model, version: number, format, signature } = version;
  const { inputs, outputs } = signature;
  const isBatched = [...inputs, ...outputs].every(({ shape }) => shape[0] === -1);
  const describe = ({ name, dtype, shape }: TensorSpec): TensorConfig => ({
    name,
    data_type: `TYPE_${dtype === 'string' ? 'STRING' : DATATYPE_OF[dtype]}`,
    dims: isBatched ? shape.slice(1) : shape,
  });
  return {
    name: model,
    platform: PLATFORM[format],
    backend: 'gridstow',
    version_policy: { specific: { versions: [number] } },
    max_batch_size: isBatched ? MAX_ROWS : 0,
    input: inputs.map(describe),
    output: outputs.map(describe),
    ...(isBatched ? { dynamic_batching: toDynamicBatching(batching) } : {}),
  };
}

function toDynamicBatching({ maxDelayMs = 0 }: BatchingSettings = {}): {
  max_queue_delay_microseconds: number;
} {
  return { max_queue_delay_microseconds: Math.round(maxDelayMs * 1000) };
}
