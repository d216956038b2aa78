import { readFile } from 'node:fs/promises';

const PAGE_BYTES = 4096;

/**
 * The memory that a process has in use, as Linux tells it; 0 where that is not known.
 *
 * Pages of other sizes than 4 KiB make it too small, never too large.
 */
export async function residentBytes(pid: number): Promise<number> {
  try {
    const [, residentPages] = (await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ');
    return Number(residentPages ?? 0) * PAGE_BYTES;
  } catch {
    // Another system, or the process has just ended.
    return 0;
  }
}
