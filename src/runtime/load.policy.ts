import { type LoadableVersion } from '../models/version';

/** How long reading, decoding and opening a version may take. */
export const LOAD_DEADLINE_MS = 120_000;

/** What even a busy machine reads and decodes. */
const BYTES_PER_MS = 16 * 1024;

/**
 * How long the first load of a version may take, whose model nobody has vouched for: a file of a
 * few hundred bytes can keep an engine computing while it is opened, and other uploads wait behind
 * it. Only what was uploaded gives it more time than the setting.
 */
export function firstLoadDeadlineMs(openMs: number, { files }: LoadableVersion): number {
  const bytes = files.reduce((sum, { ref }) => sum + ref.rawBytes, 0);
  return Math.min(LOAD_DEADLINE_MS, openMs + Math.ceil(bytes / BYTES_PER_MS));
}
