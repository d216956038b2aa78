import { parentPort } from 'node:worker_threads';

import { type Numbered } from '../../common/thread-pool';
import { StoredSegmentError } from './codec.errors';
import { InlineFile } from './inline-file';
import { encodeSegment } from './segment-encoder';
import { type SegmentJob, type SegmentResult } from './segment-job';
import { sha256 } from './sha256';
import { decodeEachNow } from './stored-segment';

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
      case 'decode-each':
        return { decoded: decodeEachNow(job.segments, job.wanted) };
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
    if (!(error instanceof StoredSegmentError)) throw error;
    const { message, index, isInBase } = error;
    return { corrupt: message, index, isInBase };
  }
}

function decodeInFile(job: SegmentJob & { readonly kind: 'file-decode' }): SegmentResult {
  const file = files.get(job.file);
  // Without it, what comes behind has no place in the file, so nothing comes of it any more.
  files.delete(job.file);
  const decodedTo = file?.decodeNow(job.segments);
  if (!file || !decodedTo) return { lost: true };
  files.set(job.file, file);
  return { decodedTo };
}

/** What was made for the other side alone; nothing at all is not made for anybody. */
function handedOver(content: SegmentResult): ArrayBuffer[] {
  const made = new Set(madeOf(content));
  return [...made].filter(({ byteLength }) => byteLength > 0);
}

function madeOf(content: SegmentResult): readonly ArrayBuffer[] {
  if ('encoded' in content) return [content.encoded.buffer];
  if ('decodedTo' in content) return content.decodedTo.map(({ buffer }) => buffer);
  if ('decoded' in content) return content.decoded.map(({ bytes: { buffer } }) => buffer);
  return 'end' in content ? [content.end.bytes] : [];
}
