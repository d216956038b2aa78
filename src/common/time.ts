const ISO_TIME =
  /^(\d{4})-(\d{2})-(\d{2})(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}))?$/;

/** An ISO 8601 date, or a time with its zone; null for anything else, such as the 30th of February. */
export function parseTime(text: string): Date | null {
  const [, year, month, day] = ISO_TIME.exec(text) ?? [];
  if (day === undefined) return null;
  // Date rolls days over that a month does not have.
  const midnight = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  if (midnight.getUTCDate() !== Number(day)) return null;
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? null : time;
}
