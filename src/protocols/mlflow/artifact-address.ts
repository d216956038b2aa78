import { checkArtifactPath } from '../../artifacts/parts/artifact-path';
import { InvalidInputError } from '../../common/errors';
import { parseModelName, parseVersion } from '../../common/model-ref';
import { VERSIONS_FOLDER } from './version-uri';

/** A place in the tree that the proxy shows: what is staged, and one folder with the versions. */
export type ArtifactAddress =
  | { readonly kind: 'staged'; readonly path: string }
  | {
      readonly kind: 'version';
      readonly model: string;
      readonly version: number;
      /** Below the version; empty for all of it. */
      readonly path: string;
    }
  /** The folder of the versions, or of those of one model: the registry lists these. */
  | { readonly kind: 'registry' };

/**
 * Reads a path of the proxy, as it was decoded once; empty is the root.
 *
 * @throws InvalidInputError for whatever could climb out of the tree, in any spelling
 */
export function parseArtifactAddress(raw: string): ArtifactAddress {
  if (raw === '') return { kind: 'staged', path: '' };
  const checked = checkArtifactPath(raw.replace(/(?<=[^/])\/$/, ''));
  if (checked.fault !== undefined) throw new InvalidInputError(`Invalid path: ${checked.fault}`);
  const { path } = checked;
  const [folder, model, version, ...rest] = path.split('/');
  if (folder !== VERSIONS_FOLDER) return { kind: 'staged', path };
  if (model === undefined || version === undefined) return { kind: 'registry' };
  return {
    kind: 'version',
    model: parseModelName(model),
    version: parseVersion(version),
    path: rest.join('/'),
  };
}
