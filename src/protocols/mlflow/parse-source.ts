import { InvalidInputError } from '../../common/errors';
import { parseModelName, parseVersion } from '../../common/model-ref';
import { type ArtifactAddress, parseArtifactAddress } from './artifact-address';

/** Where a version can be made from: what is staged, and versions that there are. */
export type SourceAddress = Exclude<ArtifactAddress, { readonly kind: 'registry' }>;

/** `mlflow-artifacts:/path`, and the same with the host of this service. */
const ARTIFACTS = /^mlflow-artifacts:(?:\/\/([^/]*))?\/+(.*)$/s;

/** The proxy's own address in full. */
const HTTP = /^https?:\/\/([^/]*)\/api\/2\.0\/mlflow-artifacts\/artifacts\/+(.*)$/s;

const MODELS = /^models:\/([^/]+)\/([^/]+)$/;

/**
 * Reads the source of a version.
 *
 * @param host the one that the client asked: what lies on any other is not fetched from here
 * @throws InvalidInputError
 */
export function parseSource(source: string, host: string | undefined): SourceAddress {
  const [, model, version] = MODELS.exec(source) ?? [];
  if (model !== undefined && version !== undefined) {
    return {
      kind: 'version',
      model: parseModelName(model),
      version: parseVersion(version),
      path: '',
    };
  }
  const [, named, path] = ARTIFACTS.exec(source) ?? HTTP.exec(source) ?? [];
  if (path === undefined) {
    throw new InvalidInputError(
      'A source reads mlflow-artifacts:/<path>, for what was uploaded by the artifact proxy, or models:/<name>/<version>',
    );
  }
  if (named !== undefined && named !== '' && named !== host) {
    throw new InvalidInputError(`The source lies on ${named}; upload it here first`);
  }
  const address = parseArtifactAddress(path);
  if (address.kind === 'registry' || (address.kind === 'staged' && address.path === '')) {
    throw new InvalidInputError('The source must be a folder with one model');
  }
  return address;
}
