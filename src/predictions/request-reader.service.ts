import assert from 'node:assert';
import { availableParallelism } from 'node:os';

import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';

import { entryPath } from '../common/entry-path';
import { RelayedError } from '../common/relayed-error';
import { type NamedTensors, type Signature } from '../common/tensor';
import { ownBytes, ThreadPool } from '../common/thread-pool';
import { type Config } from '../config/config';
import { CONFIG } from '../config/config.tokens';
import { type PredictRequest } from './predict-request';
import { type PredictionInput } from './prediction.doc';
import { ReadingOverloadedError, RequestReaderLostError } from './predictions.errors';
import { readRequest, type ReadJob, type ReadReply } from './read-request';
import { decodeTensorFile } from './tensor-file';

/** Smaller bodies are read faster than they are handed to a thread and back. */
export const INLINE_BODY_BYTES = 256 * 1024;

/** Bodies that are read or wait for it; about two seconds of work for one thread. */
const MAX_BYTES_INSIDE = 128 * 1024 * 1024;

/** Numbers take twenty times the memory of their text while they are objects. */
const MAX_THREADS = 2;
const MIB = 1024 * 1024;

/**
 * More than any body can need, which is 22 for a byte of `{},{},…`: a thread that runs out of memory
 * inside the parser would take the whole process along.
 */
const HEAP_PER_BYTE = 32;
const BASE_HEAP_MB = 64;

/**
 * Reads the JSON of predictions without holding up the event loop.
 *
 * A large body goes to a thread, which reads it with the same code as a small one is read with, so
 * the answer is the same, and lays it out as it will be stored. What comes back is that memory; no
 * number is copied or looked at here again. A thread that dies costs its body, and no other, a 503.
 */
@Injectable()
export class RequestReader implements OnApplicationShutdown {
  private readonly threads: ThreadPool<ReadJob, ReadReply>;
  private bytesInside = 0;

  constructor(@Inject(CONFIG) { maxBodyBytes }: Pick<Config, 'maxBodyBytes'>) {
    this.threads = new ThreadPool({
      entry: entryPath(__dirname, 'read-request.entry'),
      threads: Math.min(MAX_THREADS, availableParallelism()),
      jobsPerThread: 1,
      resourceLimits: {
        maxOldGenerationSizeMb: BASE_HEAP_MB + Math.ceil((HEAP_PER_BYTE * maxBodyBytes) / MIB),
      },
      lost: (_, cause) =>
        new RequestReaderLostError(
          'The body could not be read: its thread was lost',
          {},
          { cause },
        ),
    });
  }

  /** @throws ReadingOverloadedError, RequestReaderLostError, and what `readRequest` throws */
  async read(body: Buffer, signature: Signature): Promise<PredictRequest> {
    if (body.length <= INLINE_BODY_BYTES) return readRequest(body, signature);
    const bytes = body.length;
    if (this.bytesInside > 0 && this.bytesInside + bytes > MAX_BYTES_INSIDE) {
      throw new ReadingOverloadedError('Too many large bodies wait to be read; try again', {
        retryAfterSeconds: 1,
      });
    }
    this.bytesInside += bytes;
    try {
      const own = ownBytes(body);
      return toRequest(await this.threads.run({ body: own, signature }, [own.buffer]));
    } finally {
      this.bytesInside -= bytes;
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.threads.close();
  }
}

function toRequest(reply: ReadReply): PredictRequest {
  if ('refused' in reply) throw new RelayedError(reply.refused);
  const { request, content } = reply;
  const input = { ...reply.input, content: Buffer.from(content.buffer) };
  return { ...request, inputs: tensorsOf(input), input };
}

/** Views of the content, in the order of the signature and not of the file. */
function tensorsOf({ content, tensors = [] }: PredictionInput): NamedTensors {
  const stored = decodeTensorFile(content);
  return Object.fromEntries(
    tensors.map(({ name }) => {
      const tensor = stored[name];
      assert(tensor, 'the file holds every tensor that it was made from');
      return [name, tensor];
    }),
  );
}
