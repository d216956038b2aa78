import { availableParallelism } from 'node:os';

import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { type Db } from 'mongodb';

import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';
import { ArtifactStore } from './artifact.store';
import { declareBlobs } from './bucket-schema';
import { PooledCodec } from './codec/pooled.codec';
import { type SegmentCodec } from './codec/segment.codec';

const CODEC = Symbol('CODEC');

/** Content-addressed bytes in GridFS, encoded and decoded off the event loop. */
@Module({
  providers: [
    {
      provide: CODEC,
      useFactory: () => new PooledCodec(Math.max(1, availableParallelism() - 1)),
    },
    {
      provide: ArtifactStore,
      inject: [DATABASE, CODEC, Schema],
      useFactory: (db: Db, codec: SegmentCodec, schema: Schema) => {
        declareBlobs(schema);
        return new ArtifactStore(db, codec);
      },
    },
  ],
  exports: [ArtifactStore],
})
export class ArtifactsModule implements OnApplicationShutdown {
  constructor(@Inject(CODEC) private readonly codec: SegmentCodec) {}

  async onApplicationShutdown(): Promise<void> {
    await this.codec.close();
  }
}
