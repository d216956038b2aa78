import { type Schema } from '../mongo/schema';

/** Declares the two collections of a GridFS bucket, with the indexes that the GridFS specification demands. */
export function declareBucket(schema: Schema, bucket: string): void {
  schema.declare(`${bucket}.files`, [
    {
      name: 'filename_1_uploadDate_1',
      key: { filename: 1, uploadDate: 1 },
      reason: 'GridFS clients look files up by name; the name is the one that drivers give it',
    },
  ]);
  schema.declare(
    `${bucket}.chunks`,
    [
      {
        name: 'files_id_1_n_1',
        key: { files_id: 1, n: 1 },
        unique: true,
        reason: 'chunks of a file in order, each once; the name is the one that drivers give it',
      },
    ],
    // Chunks hold encoded bytes: compressing them again would only cost time.
    { storageEngine: { wiredTiger: { configString: 'block_compressor=none' } } },
  );
}
