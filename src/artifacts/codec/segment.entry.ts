import { parentPort } from 'node:worker_threads';

import { type Numbered } from '../../common/thread-pool';
import { CodecError } from './codec.errors';
import { hashDecoded } from './hash-decoded';
import { InlineFile } from './inline-file';
import { decodeSegment } from './segment-decoder';
import { encodeSegment } from './segment-encoder';
import { type SegmentJob, type SegmentResult } from './segment-job';
import { sha256 } from './sha256';

const files = new Map<number, InlineFile>();

// A thread of PooledCodec: one job at a time. Any error but damage ends the thread, and so its jobs.
parentPort?.on('message', ({ id, content: job }: Numbered<SegmentJob>) => {
  const content = run(job);
  const answer: Numbered<SegmentResult> = { id, content };
  parentPort?.postMessage(answer, handedOver(content));
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
      case 'file-open':
        files.set(job.file, new InlineFile(job.rawBytes, job.parts));
        return { opened: true };
      case 'file-decode':
        return decodeInFile(job);
      case 'file-end': {
        const file = files.get(job.file);
        files.delete(job.file);
        return file ? { end: file.endNow() } : { lost: true };
      }
    }
  } catch (error) {
    if (error instanceof CodecError) return { corrupt: error.message };
    throw error;
  }
}

function decodeInFile(job: SegmentJob & { readonly kind: 'file-decode' }): SegmentResult {
  const file = files.get(job.file);
  // Without it, what comes behind has no place in the file, so nothing comes of it any more.
  files.delete(job.file);
  const decodedTo = file?.decodeNow(job.encoded, job.rawBytes, job.base);
  if (!file || !decodedTo) return { lost: true };
  files.set(job.file, file);
  return { decodedTo };
}

/** What was made for the other side alone; nothing at all is not made for anybody. */
function handedOver(content: SegmentResult): ArrayBuffer[] {
  const made =
    'encoded' in content
      ? content.encoded.buffer
      : 'decodedTo' in content
        ? content.decodedTo.buffer
        : 'end' in content
          ? content.end.bytes
          : undefined;
  return made && made.byteLength > 0 ? [made] : [];
}
