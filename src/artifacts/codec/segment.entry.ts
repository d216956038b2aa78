import { createHash, type Hash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';

import { type Numbered } from '../../common/thread-pool';
import { CodecError } from './codec.errors';
import { hashDecoded } from './hash-decoded';
import { decodeSegment } from './segment-decoder';
import { encodeSegment } from './segment-encoder';
import { type SegmentJob, type SegmentResult } from './segment-job';
import { sha256 } from './sha256';

const digests = new Map<number, Hash>();

// A thread of PooledCodec: one job at a time. Any error but damage ends the thread, and so its jobs.
parentPort?.on('message', ({ id, content: job }: Numbered<SegmentJob>) => {
  const content = run(job);
  const answer: Numbered<SegmentResult> = { id, content };
  parentPort?.postMessage(answer, 'encoded' in content ? [content.encoded.buffer] : []);
});

function run(job: SegmentJob): SegmentResult {
  try {
    switch (job.kind) {
      case 'hash':
        return { hash: sha256(job.raw) };
      case 'encode': {
        const { dtype, base } = job;
        return {
          encoded: encodeSegment(job.raw, { ...(dtype && { dtype }), ...(base && { base }) }),
        };
      }
      case 'decode':
        decodeSegment(job.encoded, job.target, job.base);
        return { decoded: true };
      case 'hash-decoded':
        return { hash: hashDecoded(job.encoded, job.rawBytes, job.base) };
      case 'digest-update':
        if (job.isFirst) digests.set(job.digest, createHash('sha256'));
        digests.get(job.digest)?.update(job.raw);
        return { updated: true };
      case 'digest-end': {
        const digest = digests.get(job.digest);
        digests.delete(job.digest);
        // Begun on a thread that died: this one came in its place.
        return digest ? { hash: digest.digest('hex') } : { lost: true };
      }
    }
  } catch (error) {
    if (error instanceof CodecError) return { corrupt: error.message };
    throw error;
  }
}
