/** Longest path of a file in an artifact, in bytes of UTF-8. */
export const MAX_PATH_BYTES = 512;

/** Deepest nesting of folders in an artifact. */
export const MAX_PATH_SEGMENTS = 32;

export type CheckedPath =
  { readonly path: string; readonly fault?: never } | { readonly fault: string };

/** Characters that change how the rest of a path is read or shown: controls, line ends, direction marks. */
const UNSEEN = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069\ufeff]/u;

/** A dot, a slash, a backslash or a NUL, percent-encoded any number of times. */
const ENCODED = /%(?:25)*(?:2e|2f|5c|00)/i;

/** `https:`, `file:`, `C:`. */
const SCHEME = /^[a-z][a-z0-9+.-]*:/i;

/**
 * The one rule for paths of files in an artifact, whoever names them: an upload, an archive, a
 * weights manifest. A good path comes back in its only spelling: no leading `./`, Unicode NFC.
 *
 * Paths are only ever keys, never opened on a disk. The rule still keeps out whatever could climb
 * or point elsewhere, for the day when someone unpacks a downloaded artifact.
 */
export function checkArtifactPath(raw: string): CheckedPath {
  const fault = faultOf(raw);
  if (fault !== undefined) return { fault };
  let path = raw.normalize('NFC');
  while (path.startsWith('./')) path = path.slice(2);
  return { path };
}

function faultOf(raw: string): string | undefined {
  // First, so that no other rule has to look at a name of megabytes.
  if (raw.length > MAX_PATH_BYTES || Buffer.byteLength(raw) > MAX_PATH_BYTES) {
    return `the path is longer than ${MAX_PATH_BYTES} bytes`;
  }
  if (raw === '') return 'the path is empty';
  if (!raw.isWellFormed() || raw.includes('\ufffd')) return 'the path is not valid UTF-8';
  if (UNSEEN.test(raw)) return 'the path holds a control character';
  if (raw.includes('\\')) return 'the path holds a backslash; folders are separated by /';
  if (raw.startsWith('/')) return 'the path is absolute';
  if (SCHEME.test(raw)) return 'the path begins like a URL or a drive';
  if (ENCODED.test(raw)) return 'the path holds a percent-encoded dot, slash, backslash or NUL';
  const segments = raw.replace(/^(?:\.\/)+/, '').split('/');
  if (segments.length > MAX_PATH_SEGMENTS) {
    return `the path is deeper than ${MAX_PATH_SEGMENTS} folders`;
  }
  if (segments.includes('')) return 'the path has an empty segment';
  // Also `.. ` and the like: some systems drop trailing spaces and dots.
  if (segments.some((segment) => /^[. ]+$/.test(segment))) {
    return 'the path has a segment of dots or spaces only';
  }
  return undefined;
}

/** What a desktop adds to an archive by itself, and no model ever needs. */
export function isDesktopClutter(path: string): boolean {
  const segments = path.split('/');
  const name = segments.at(-1) ?? '';
  return segments.includes('__MACOSX') || name === '.DS_Store' || name.startsWith('._');
}
