/** Where the proxy shows versions; nobody uploads to this folder. */
export const VERSIONS_FOLDER = 'registered-models';

/** What clients resolve against the host that they ask. */
export const ARTIFACT_SCHEME = 'mlflow-artifacts:';

/** The address of a version's files, as clients list and download them. */
export function versionUri(model: string, version: number): string {
  return `${ARTIFACT_SCHEME}/${VERSIONS_FOLDER}/${model}/${version}`;
}
