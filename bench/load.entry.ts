import { readFileSync, writeFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';

import * as layers from '@tensorflow/tfjs-layers';
import { GridFSBucket, MongoClient } from 'mongodb';
import { decompress } from 'zstd-napi';

import { toLoadable, type VersionDoc } from '../src/models/version.doc';
import { openWasmEngine } from '../src/runtime/engines/wasm-engine';
import { gridfs } from '../src/runtime/io';
import { VersionFilesStore } from '../src/runtime/version-files.store';
import { type LoadTimes, type LoadWay } from './load-times';
import { loadPlainModel, startEngine } from './plain-model';

/** Loads one model in a process of its own, by the library or the way one does without it. */
async function main(how: LoadWay, uri: string, name: string): Promise<void> {
  const client = await new MongoClient(uri).connect();
  await startEngine();
  // What both need once is no part of loading: the compiled engine, an open connection.
  await client.db('admin').command({ ping: 1 });
  const load = await loaders[how](client, uri, name);
  const before = resetPeak();
  const start = performance.now();
  await load();
  const loadMs = performance.now() - start;
  const times: LoadTimes = { loadMs, peakBytes: peakBytes() - before };
  process.send?.(times, () => process.exit());
}

type Loader = (client: MongoClient, uri: string, name: string) => Promise<() => Promise<unknown>>;

const loaders: Readonly<Record<LoadWay, Loader>> = {
  executor: async (client, uri, name) => {
    const engine = await openWasmEngine();
    const doc = await client
      .db('gridstow')
      .collection<VersionDoc>('versions')
      .findOne({ model: name });
    if (!doc) throw new TypeError(`no version of ${name}`);
    const source = new VersionFilesStore({ uri, db: 'gridstow' });
    const [description] = doc.files.filter(({ path }) => path === doc.entry);
    // Opens the connection.
    if (description) await source.read(description);
    return async () => await engine.load(toLoadable(doc), source);
  },
  library: async (client, _uri, name) => {
    const handler = gridfs(client.db('gridstow'), name);
    return await Promise.resolve(async () => await layers.loadLayersModel(handler));
  },
  stock: async (client, _uri, name) =>
    await Promise.resolve(async () => {
      await loadStock(client, name);
    }),
};

async function loadStock(client: MongoClient, name: string): Promise<void> {
  const bucket = new GridFSBucket(client.db('bench'), { bucketName: 'stock' });
  const read = async (path: string): Promise<Buffer> =>
    decompress(await buffer(bucket.openDownloadStreamByName(`${name}/${path}`)));
  await loadPlainModel(await read('model.json'), await read('weights.bin'));
}

/** Forgets the largest resident size so far. @returns the size now */
function resetPeak(): number {
  writeFileSync('/proc/self/clear_refs', '5');
  return peakBytes();
}

function peakBytes(): number {
  const kib = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  return Number(kib) * 1024;
}

void main((process.argv[2] ?? 'stock') as LoadWay, process.argv[3] ?? '', process.argv[4] ?? '');
