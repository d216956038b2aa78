import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

/** What the guard needs of the driver's own reply, which it does not export. */
interface Reply {
  readonly $clusterTime: { readonly signature?: { readonly hash: { buffer: Uint8Array } } } | null;
}

let isGuarded = false;

/**
 * Gives whoever reads documents the whole of what was received for them.
 *
 * The driver (7.8) passes the cluster time of a reply on with its next commands, and the signature
 * in it is a view of that reply. So megabytes of chunks would stay in memory for as long as no later
 * time comes, and a reply whose memory goes to another thread would break every command behind
 * it. Here the signature gets memory of its own.
 */
export function guardReplies(): void {
  if (isGuarded) return;
  isGuarded = true;
  const { MongoDBResponse } = createRequire(__filename)(
    'mongodb/lib/cmap/wire_protocol/responses',
  ) as { readonly MongoDBResponse: { readonly prototype: Reply } };
  const { prototype } = MongoDBResponse;
  const property = Object.getOwnPropertyDescriptor(prototype, '$clusterTime') as
    { readonly get?: (this: Reply) => Reply['$clusterTime'] } | undefined;
  const read = property?.get;
  assert(read, 'This release of the driver keeps the cluster time in another way');

  Object.defineProperty(prototype, '$clusterTime', {
    ...property,
    get(this: Reply) {
      const clusterTime = read.call(this);
      const hash = clusterTime?.signature?.hash;
      // What is read again is what was read first.
      if (hash && hash.buffer.byteLength < hash.buffer.buffer.byteLength) {
        hash.buffer = Uint8Array.from(hash.buffer);
      }
      return clusterTime;
    },
  });
}
