import { type IndexDeclaration, type Schema } from '../mongo/schema';

export const BLOB_CLAIM_INDEX = 'blob_claim';

const BLOB_INDEXES: readonly IndexDeclaration[] = [
  {
    name: BLOB_CLAIM_INDEX,
    key: { 'metadata.claim': 1 },
    unique: true,
    partialFilterExpression: { 'metadata.claim': { $exists: true } },
    reason: 'equal content is one blob, also when two uploads race; found by digest',
  },
  {
    name: 'blob_base',
    key: { 'metadata.base': 1 },
    partialFilterExpression: { 'metadata.base': { $type: 'objectId' } },
    reason: 'whether a blob is what another is the difference to',
  },
  {
    name: 'blob_doomed',
    key: { 'metadata.doomedAt': 1 },
    partialFilterExpression: { 'metadata.doomedAt': { $exists: true } },
    reason: 'blobs that somebody began to free and did not finish',
  },
];

/** Declares the two collections of a GridFS bucket, with the indexes that the GridFS specification demands. */
export function declareBucket(
  schema: Schema,
  bucket: string,
  indexes: readonly IndexDeclaration[] = [],
): void {
  schema.declare(`${bucket}.files`, [
    {
      name: 'filename_1_uploadDate_1',
      key: { filename: 1, uploadDate: 1 },
      reason: 'GridFS clients look files up by name; the name is the one that drivers give it',
    },
    ...indexes,
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

/** The bucket of the artifacts, whose files are blobs. */
export function declareBlobs(schema: Schema): void {
  declareBucket(schema, 'artifacts', BLOB_INDEXES);
}
