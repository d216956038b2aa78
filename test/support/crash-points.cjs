/**
 * Crash points: loaded into the compiled service with `node --require`, by tests only. The product
 * knows nothing of them, so there is nothing to compile out.
 *
 * A point is a step that the service takes in its database, recognised as it goes through the
 * driver. The file named by `CRASH_CONTROL` holds `<point> <action>`; the first time the service
 * comes there the file is renamed to `<file>.fired` and the action happens: `kill` ends the
 * process, `throw` fails the step after it was applied (or before it, at a `before` point), `stop`
 * holds the whole process still until it gets SIGCONT.
 */
const { existsSync, readFileSync, renameSync } = require('node:fs');
const { basename } = require('node:path');

const control = process.env.CRASH_CONTROL;
// Executors inherit the environment, yet it is the service that is to crash.
if (control && basename(process.argv[1] ?? '') === 'main.js') watch();

function watch() {
  const { Collection } = require('mongodb');
  const methods = [
    ...['insertOne', 'insertMany', 'updateOne', 'updateMany', 'findOneAndUpdate'],
    ...['deleteOne', 'deleteMany'],
  ];
  let chunkInserts = 0;
  for (const method of methods) {
    const original = Collection.prototype[method];
    Collection.prototype[method] = async function (...args) {
      const { before, after } = pointsOf(this.collectionName, method, args);
      reach(before);
      const result = await original.apply(this, args);
      reach(after === 'publish.afterChunk' ? `${after}:${++chunkInserts}` : after);
      return result;
    };
  }
  const reach = (point) => {
    if (point === undefined || !existsSync(control)) return;
    const [wanted, action] = readFileSync(control, 'utf8').split(' ');
    if (
      wanted !== point &&
      !(wanted === 'publish.afterChunk:1' && point.startsWith(wanted.slice(0, -1)))
    )
      return;
    renameSync(control, `${control}.fired`);
    if (action === 'throw') throw new Error(`crash point ${point}`);
    process.kill(process.pid, action === 'kill' ? 'SIGKILL' : 'SIGSTOP');
  };
}

/** The points right before and right after a call. */
function pointsOf(collection, method, [first, update, options]) {
  const set = update?.$set ?? update?.[0]?.$set ?? {};
  switch (`${collection} ${method}`) {
    case 'uploadIntents updateOne':
      return options?.upsert ? { after: 'publish.afterIntent' } : {};
    case 'uploadIntents deleteOne':
      return { before: 'publish.beforeRelease' };
    case 'artifacts.chunks insertMany':
      return { after: 'publish.afterChunk' };
    case 'versions insertOne':
      return { after: 'publish.afterReserve' };
    case 'artifacts.files insertMany':
      if (first.some(({ filename }) => filename.includes('/.compiled/'))) {
        return { after: 'compiled.afterFilesDoc' };
      }
      return { after: 'publish.afterFilesDoc' };
    case 'versions findOneAndUpdate':
      return set.engines
        ? { before: 'compiled.beforeReference', after: 'compiled.afterReference' }
        : {};
    case 'artifacts.files updateMany':
      return set['metadata.doomedBy'] ? { after: 'delete.afterDoom' } : {};
    case 'artifacts.files deleteMany':
      return { after: 'delete.afterFilesDoc' };
    case 'artifacts.chunks deleteMany':
      return { after: 'delete.afterChunks' };
    case 'aliasMoves insertOne':
      return { after: 'activate.afterMove' };
    case 'versions updateOne':
      if (set.state === 'verifying') return { after: 'publish.afterVerifying' };
      if (set.state === 'ready')
        return { before: 'publish.beforeReady', after: 'publish.afterReady' };
      if (set.state === 'deleting') return { after: 'delete.afterMark' };
      if (set.state === 'deleted') return { before: 'delete.beforeTombstone' };
      if (update.$unset?.blobs === '' && !update.$set) return { after: 'delete.afterRelease' };
      if (update.$addToSet?.pins) return { after: 'activate.afterPin' };
      return {};
    default:
      return {};
  }
}
