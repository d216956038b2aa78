import { type ModelSummary } from '../../models/model.doc';
import { type Pair, type VersionListing } from '../../models/version.doc';
import { type VersionState } from '../../models/version';
import { versionUri } from './version-uri';

type Status = 'PENDING_REGISTRATION' | 'FAILED_REGISTRATION' | 'READY';

interface TagAnswer {
  readonly key: string;
  readonly value: string;
}

/** A version, as the registry protocol shows it. */
export interface ModelVersionAnswer {
  readonly name: string;
  readonly version: string;
  readonly creation_timestamp: number;
  readonly last_updated_timestamp: number;
  readonly user_id: string;
  readonly current_stage: 'None';
  readonly description: string;
  readonly source: string;
  readonly run_id: string;
  readonly run_link: string;
  readonly model_id?: string;
  readonly status: Status;
  readonly status_message: string;
  readonly tags: readonly TagAnswer[];
  readonly aliases: readonly string[];
}

/** A model, as the registry protocol shows it. */
export interface RegisteredModelAnswer {
  readonly name: string;
  readonly creation_timestamp: number;
  readonly last_updated_timestamp: number;
  readonly user_id: string;
  readonly description: string;
  readonly latest_versions: readonly ModelVersionAnswer[];
  readonly tags: readonly TagAnswer[];
  readonly aliases: readonly { readonly alias: string; readonly version: string }[];
}

const STATUS: Readonly<Record<VersionState, Status>> = {
  pending: 'PENDING_REGISTRATION',
  verifying: 'PENDING_REGISTRATION',
  ready: 'READY',
  failed: 'FAILED_REGISTRATION',
  quarantined: 'FAILED_REGISTRATION',
  deleting: 'FAILED_REGISTRATION',
  deleted: 'FAILED_REGISTRATION',
};

export function toModelVersion(doc: VersionListing): ModelVersionAnswer {
  const { model, version, createdAt, readyAt, updatedAt, origin, failure } = doc;
  return {
    name: model,
    version: String(version),
    creation_timestamp: createdAt.getTime(),
    last_updated_timestamp: (updatedAt ?? readyAt ?? createdAt).getTime(),
    user_id: '',
    // Stages are what aliases took the place of.
    current_stage: 'None',
    description: doc.description,
    source: origin?.source ?? versionUri(model, version),
    run_id: origin?.runId ?? '',
    run_link: origin?.runLink ?? '',
    ...(origin?.modelId === undefined ? {} : { model_id: origin.modelId }),
    status: STATUS[doc.state],
    status_message: failure?.message ?? '',
    tags: toTags(doc.tags),
    aliases: [...doc.pins].sort(),
  };
}

export function toRegisteredModel(
  summary: ModelSummary,
  latest: VersionListing | undefined,
): RegisteredModelAnswer {
  const { _id, createdAt, updatedAt, description, tags, aliases } = summary;
  return {
    name: _id,
    creation_timestamp: createdAt.getTime(),
    last_updated_timestamp: updatedAt.getTime(),
    user_id: '',
    description,
    latest_versions: latest ? [toModelVersion(latest)] : [],
    tags: toTags(tags),
    aliases: Object.entries(aliases).map(([alias, version]) => ({
      alias,
      version: String(version),
    })),
  };
}

function toTags(pairs: readonly Pair<string>[]): TagAnswer[] {
  return pairs.map(({ k, v }) => ({ key: k, value: v }));
}
