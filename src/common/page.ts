import { createHash } from 'node:crypto';

import { BadSyntaxError } from './errors';

/** One page of a list; `next` continues it and is null at the end. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

export const DEFAULT_LIMIT = 50;
export const MAX_LIMIT = 1000;

/** A cursor that this list did not give out, or gave out for other filters. */
export class BadCursorError extends BadSyntaxError {
  override readonly code = 'bad_cursor';
}

/** The place in a list where a page ended: the sort keys of its last item. */
export type CursorKeys = readonly (string | number)[];

/**
 * Writes a place as text, the inverse of `decodeCursor`.
 *
 * `scope` is the list with its filters. The check digits guard against mix-ups and edits; they are
 * no secret, because a place gives nobody more than the list itself would.
 */
export function encodeCursor(keys: CursorKeys, scope: string): string {
  const place = Buffer.from(JSON.stringify(keys)).toString('base64url');
  return `${place}.${checkDigits(place, scope)}`;
}

/** @throws BadCursorError */
export function decodeCursor(text: string, scope: string): CursorKeys {
  const [place = '', digits = '', ...rest] = text.split('.');
  if (rest.length > 0 || digits !== checkDigits(place, scope)) {
    throw new BadCursorError(
      'The cursor is not one that this list gave out with these filters; start again without it',
    );
  }
  return JSON.parse(Buffer.from(place, 'base64url').toString()) as CursorKeys;
}

/** Turns one document more than a page holds into the page and its continuation. */
export function toPage<D, T>(
  docs: readonly D[],
  limit: number,
  scope: string,
  keysOf: (doc: D) => CursorKeys,
  toItem: (doc: D) => T,
): Page<T> {
  const shown = docs.slice(0, limit);
  const last = shown.at(-1);
  const next = docs.length > limit && last ? encodeCursor(keysOf(last), scope) : null;
  return { items: shown.map(toItem), next };
}

function checkDigits(place: string, scope: string): string {
  return createHash('sha256').update(`${scope}\n${place}`).digest('base64url').slice(0, 12);
}
