import { Injectable } from '@nestjs/common';

import { StoreError } from '../../common/errors';
import { DEFAULT_ALIAS, isAlias, isModelName, type ModelRef } from '../../common/model-ref';
import { type ResolvedVersion, VersionResolver } from '../../models/version-resolver.service';
import { type TfModelSpec } from './tf-address';
import { ServableNotFoundError, UnknownLabelError } from './tfserving.errors';

/** What makes a version one that is not served, in the words of TensorFlow Serving not there. */
const NOT_FOUND: ReadonlySet<string> = new Set([
  'model_not_found',
  'alias_not_found',
  'version_not_found',
  'version_not_ready',
]);

/**
 * The versions that this protocol serves.
 *
 * Without a version an address means what `live` points at: TensorFlow Serving takes the largest
 * number there, which a version has before anybody decided to serve it.
 */
@Injectable()
export class TfVersions {
  constructor(private readonly resolver: VersionResolver) {}

  /** @throws ServableNotFoundError, UnknownLabelError */
  async resolve(spec: TfModelSpec): Promise<ResolvedVersion> {
    const ref = refOf(spec);
    if (!ref) throw notFound(spec);
    try {
      return await this.resolver.resolve(ref);
    } catch (error) {
      if (error instanceof StoreError && NOT_FOUND.has(error.code)) throw notFound(spec);
      throw error;
    }
  }
}

/** Null for what no model, version or alias here can be called. */
export function refOf({ name: model, version, label }: TfModelSpec): ModelRef | null {
  if (!isModelName(model)) return null;
  if (version !== undefined) {
    const number = Number(version);
    return number > 0 && Number.isSafeInteger(number) ? { model, version: number } : null;
  }
  const alias = label ?? DEFAULT_ALIAS;
  return isAlias(alias) ? { model, alias } : null;
}

function notFound({ name, version, label }: TfModelSpec): StoreError {
  if (label !== undefined) {
    return new UnknownLabelError(`Unrecognized servable version label: ${label}`);
  }
  const asked = version === undefined ? `Latest(${name})` : `Specific(${name}, ${version})`;
  return new ServableNotFoundError(`Servable not found for request: ${asked}`);
}
