import { parentPort } from 'node:worker_threads';

import { type CodecJob, type CodecResult } from './codec-job';
import { decodeBlock, encodeBlock } from './zstd-block';

// A thread of PooledCodec: one job at a time, blocks handed over without copying where possible.
parentPort?.on('message', (job: CodecJob) => {
  const result = run(job);
  parentPort?.postMessage(result, 'block' in result ? [result.block.buffer as ArrayBuffer] : []);
});

function run({ id, kind, codec, block, rawBytes }: CodecJob): CodecResult {
  try {
    const made =
      kind === 'encode' ? encodeBlock(block, codec) : decodeBlock(block, codec, rawBytes);
    return { id, block: ownBytes(made) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Small Buffers are views of a shared pool, which must not be handed to another thread. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes);
}
