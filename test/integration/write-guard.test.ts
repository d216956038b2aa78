import { Socket } from 'node:net';

import { type MongoClient } from 'mongodb';

import { createClient } from '../../src/mongo/connect';
import { testMongoUri } from '../support/database';

let client: MongoClient;

beforeEach(async () => {
  client = createClient(testMongoUri(), { appName: 'write-guard', maxPoolSize: 1 });
  await client.connect();
});
afterEach(async () => {
  await client.close();
});

/** Destroys the connection that an operation was just given, before its command is written. */
function loseNextConnection(): { readonly lost: () => boolean } {
  const port = Number(new URL(testMongoUri().replace('mongodb:', 'http:')).port);
  let isLost = false;
  client.once('connectionCheckedOut', () => {
    // Nothing public lists the sockets.
    const handles = (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();
    for (const handle of handles) {
      if (handle instanceof Socket && handle.remotePort === port) {
        handle.destroy();
        isLost = true;
      }
    }
  });
  return { lost: () => isLost };
}

it('a write whose connection is lost before it is sent is sent again (138, 139)', async () => {
  const notes = client.db('write_guard').collection('notes');
  const connection = loseNextConnection();

  await notes.insertMany([{ text: 'kept' }], { ordered: false });

  expect(connection.lost()).toBe(true);
  expect(await notes.countDocuments({ text: 'kept' })).toBe(1);
  await notes.drop();
});

it('a command that is not tried again fails instead of waiting for good (139)', async () => {
  const connection = loseNextConnection();

  await expect(client.db('write_guard').command({ ping: 1 })).rejects.toThrow(/closed/);
  expect(connection.lost()).toBe(true);
});
