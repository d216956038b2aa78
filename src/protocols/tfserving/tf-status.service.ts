import { Injectable } from '@nestjs/common';

import { type TensorSpec } from '../../common/tensor';
import { AliasMovesRepository } from '../../models/alias-moves.repository';
import { ModelsRepository } from '../../models/models.repository';
import { type VersionFate, VersionsRepository } from '../../models/versions.repository';
import { type TfModelSpec } from './tf-address';
import { TF_TYPES } from './tf-elements';
import { SERVING_SIGNATURE } from './tf-request';
import { refOf, TfVersions } from './tf-versions.service';
import { ServableNotFoundError, UnknownLabelError } from './tfserving.errors';

/** The states of TensorFlow Serving that versions here have. */
type TfState = 'LOADING' | 'AVAILABLE' | 'END';

interface VersionStatus {
  readonly version: string;
  readonly state: TfState;
  readonly status: { readonly error_code: string; readonly error_message: string };
}

/** The answer to a status call: of TensorFlow Serving, and the keys of version 1 of KServe beside it. */
export interface ModelStatus {
  readonly model_version_status: readonly VersionStatus[];
  readonly name: string;
  readonly ready: boolean;
}

/** Which models and versions there are, in the words of TensorFlow Serving. */
@Injectable()
export class TfStatus {
  constructor(
    private readonly models: ModelsRepository,
    private readonly versions: VersionsRepository,
    private readonly moves: AliasMovesRepository,
    private readonly served: TfVersions,
  ) {}

  /** As KServe lists them. */
  async list(): Promise<{ readonly models: readonly string[] }> {
    return { models: await this.models.listNames() };
  }

  /** @throws ServableNotFoundError, UnknownLabelError */
  async status(spec: TfModelSpec): Promise<ModelStatus> {
    const { name, label, version } = spec;
    const ref = refOf(spec);
    const pointer = ref && 'alias' in ref ? await this.moves.findNewest(name, ref.alias) : null;
    const pointed = pointer?.version ?? undefined;
    if (label !== undefined && pointed === undefined) {
      throw new UnknownLabelError(`Unrecognized servable version label: ${label}`);
    }
    const only = ref && 'version' in ref ? ref.version : label === undefined ? undefined : pointed;
    const fates = ref ? await this.versions.listFates(name, only) : [];
    if (fates.length === 0) {
      throw new ServableNotFoundError(
        version === undefined
          ? `Could not find any versions of model ${name}`
          : `Could not find version ${version} of model ${name}`,
      );
    }
    const asked = only ?? pointed;
    return {
      model_version_status: fates.map(toStatus),
      name,
      ready: fates.some((fate) => fate.version === asked && stateOf(fate) === 'AVAILABLE'),
    };
  }

  /** @throws ServableNotFoundError, UnknownLabelError */
  async metadata(spec: TfModelSpec): Promise<unknown> {
    const { version } = await this.served.resolve(spec);
    const { inputs, outputs } = version.signature;
    const signature = {
      inputs: toTensorInfos(inputs),
      outputs: toTensorInfos(outputs),
      method_name: 'tensorflow/serving/predict',
      defaults: {},
    };
    return {
      model_spec: { name: version.model, signature_name: '', version: String(version.version) },
      metadata: { signature_def: { signature_def: { [SERVING_SIGNATURE]: signature } } },
    };
  }
}

function toStatus(fate: VersionFate): VersionStatus {
  const state = stateOf(fate);
  const status =
    state === 'END'
      ? { error_code: 'FAILED_PRECONDITION', error_message: reasonOf(fate) }
      : { error_code: 'OK', error_message: '' };
  return { version: String(fate.version), state, status };
}

/** What is ready answers, whether it is in memory now or not. */
function stateOf({ state, format }: VersionFate): TfState {
  if (state === 'pending' || state === 'verifying') return 'LOADING';
  return state === 'ready' && format !== 'opaque' ? 'AVAILABLE' : 'END';
}

function reasonOf({ failure, format }: VersionFate): string {
  return failure?.message ?? `It is kept as files (${format}) and cannot be run here`;
}

function toTensorInfos(specs: readonly TensorSpec[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    specs.map(({ name, dtype, shape }) => [
      name,
      {
        dtype: `DT_${TF_TYPES[dtype].toUpperCase()}`,
        tensor_shape: {
          dim: shape.map((size) => ({ size: String(size), name: '' })),
          unknown_rank: false,
        },
        name: `${name}:0`,
      },
    ]),
  );
}
