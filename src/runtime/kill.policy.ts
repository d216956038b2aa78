/** So many executors lost to one version within the window, and it has to go. */
export const KILLS_ALLOWED = 3;
export const KILL_WINDOW_MS = 10 * 60_000;

/** Remembers which versions cost an executor its life. */
export class KillLog {
  private readonly kills = new Map<string, readonly number[]>();

  /** @returns whether that was one too many; the count starts anew then */
  add(key: string, nowMs: number): boolean {
    const recent = (this.kills.get(key) ?? []).filter((atMs) => nowMs - atMs < KILL_WINDOW_MS);
    const kills = [...recent, nowMs];
    const isOneTooMany = kills.length >= KILLS_ALLOWED;
    if (isOneTooMany) this.kills.delete(key);
    else this.kills.set(key, kills);
    return isOneTooMany;
  }
}
