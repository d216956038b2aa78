import { type Binary } from 'mongodb';

import { createClient } from '../../src/mongo/connect';
import { testMongoUri } from '../support/database';

it('the memory of a reply can be given away: no later command needs it', async () => {
  const writer = createClient(testMongoUri(), { appName: 'reply-guard-writer' });
  const client = createClient(testMongoUri(), { appName: 'reply-guard', maxPoolSize: 1 });
  const documents = writer.db('reply_guard').collection<{ data: Binary | Buffer }>('documents');
  await documents.insertOne({ data: Buffer.alloc(3_000_000, 7) });

  for (let round = 0; round < 3; round++) {
    // The reply behind it brings the other client a time that it has not seen.
    await writer.db('reply_guard').collection('others').insertOne({ round });
    const [found] = await client
      .db('reply_guard')
      .collection<{ data: Binary }>('documents')
      .find()
      .toArray();
    const { buffer } = found!.data.buffer as Uint8Array<ArrayBuffer>;

    const moved = structuredClone(buffer, { transfer: [buffer] });

    expect([moved.byteLength > 3_000_000, buffer.byteLength]).toEqual([true, 0]);
    expect(await client.db('reply_guard').command({ ping: 1 })).toMatchObject({ ok: 1 });
  }

  await writer.db('reply_guard').dropDatabase();
  await Promise.all([writer.close(), client.close()]);
});
