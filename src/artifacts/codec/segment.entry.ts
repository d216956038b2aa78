import { parentPort } from 'node:worker_threads';

import { type Numbered } from '../../common/thread-pool';
import { CodecError } from './codec.errors';
import { decodeSegment } from './segment-decoder';
import { encodeSegment } from './segment-encoder';
import { type SegmentJob, type SegmentResult } from './segment-job';
import { sha256 } from './sha256';

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
    }
  } catch (error) {
    if (error instanceof CodecError) return { corrupt: error.message };
    throw error;
  }
}
