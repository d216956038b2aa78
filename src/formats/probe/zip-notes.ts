import { quoted } from '../fault-log';
import { reportPickle } from '../pickle/pickle-report';
import { type ListedMember } from './zip-listing';
import { isPickleName, type ZipWalk } from './zip-walk';

const MAX_TOLD = 5;
/** What a directory says of a place that only a longer form of it can hold. */
const ELSEWHERE = 0xffffffff;

/** What people are told of the pickles in a zip, whichever of them a reader would take. */
export async function notesOfZip(
  walk: ZipWalk,
  listed: readonly ListedMember[],
): Promise<readonly string[]> {
  const found = await walk.finish();
  const notes = new Set(found.flatMap((one) => (one ? reportPickle(one).notes : [])));
  // TorchScript always has two.
  const { length: pickles } = walk.pickles.filter(({ name }) => !name.endsWith('constants.pkl'));
  if (pickles > 1) notes.add(`holds ${pickles} pickles, where one is usual`);
  if (walk.hasMore) notes.add('holds more members than were looked at, and may import more');
  for (const [name, times] of repeated(walk, listed)) {
    notes.add(`has ${times} members with the name ${quoted(name)}: readers may take any of them`);
  }
  const seen = new Set(walk.pickles.filter((one) => one.walk).map(({ offset }) => offset));
  const unseen = [
    ...walk.pickles.filter((one) => !one.walk).map(({ name }) => name),
    ...listed
      .filter(({ name, offset }) => isPickleName(name) && offset !== ELSEWHERE && !seen.has(offset))
      .map(({ name }) => name),
  ];
  for (const name of [...new Set(unseen)].slice(0, MAX_TOLD)) {
    notes.add(`holds a pickle that was not seen through: ${quoted(name)} was not looked at`);
  }
  return [...notes];
}

function repeated(walk: ZipWalk, listed: readonly ListedMember[]): [string, number][] {
  const most = new Map<string, number>();
  for (const names of [walk.names, listed.map(({ name }) => name)]) {
    const times = new Map<string, number>();
    for (const name of names) times.set(name, (times.get(name) ?? 0) + 1);
    for (const [name, count] of times) most.set(name, Math.max(most.get(name) ?? 0, count));
  }
  return [...most].filter(([name, count]) => count > 1 && isPickleName(name)).slice(0, MAX_TOLD);
}
