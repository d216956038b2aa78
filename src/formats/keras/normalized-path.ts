/** Where the normalised files of a version stand among its files; no upload may use the folder. */
const FOLDER = '.normalized';

/** The files that stand for a model in memory, when what was uploaded cannot be loaded as it is. */
export function normalizedPath(name: string): string {
  return `${FOLDER}/${name}`;
}

/** Whether a file was made at upload, not uploaded: it is left out of digest and archive. */
export function isNormalizedPath(path: string): boolean {
  return path === FOLDER || path.startsWith(`${FOLDER}/`);
}
