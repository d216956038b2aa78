/** A file with its whole path. */
export interface SizedFile {
  readonly path: string;
  readonly bytes: number;
}

/** What a folder holds, as the proxy lists it: names without what is before them. */
export interface FolderEntry {
  readonly path: string;
  readonly is_dir: boolean;
  readonly file_size?: number;
}

/**
 * Lists what lies directly in a folder (empty: the root), by name.
 *
 * Of a file, and of a folder that is not there, nothing: clients tell files from folders by it.
 */
export function listFolder(files: Iterable<SizedFile>, folder: string): FolderEntry[] {
  const prefix = folder === '' ? '' : `${folder}/`;
  const entries = new Map<string, FolderEntry>();
  for (const { path, bytes } of files) {
    if (!path.startsWith(prefix)) continue;
    const rest = path.slice(prefix.length);
    const slash = rest.indexOf('/');
    if (slash >= 0) {
      const name = rest.slice(0, slash);
      entries.set(`${name}/`, { path: name, is_dir: true });
    } else entries.set(rest, { path: rest, is_dir: false, file_size: bytes });
  }
  return [...entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}
