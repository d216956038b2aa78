import assert from 'node:assert';
import { availableParallelism } from 'node:os';

import { type OnApplicationShutdown } from '@nestjs/common';

import { RelayedError, type WireError } from '../common/relayed-error';
import { type NamedTensors } from '../common/tensor';
import { ownBytes, ThreadPool } from '../common/thread-pool';
import { type PredictionInput } from './prediction.doc';
import { ReadingOverloadedError, RequestReaderLostError } from './predictions.errors';
import { decodeTensorFile } from './tensor-file';

/** Smaller bodies are read faster than they are handed to a thread and back. */
export const INLINE_BODY_BYTES = 256 * 1024;

/** Bodies that are read or wait for it, of all protocols; about two seconds of work for one thread. */
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

let bytesInside = 0;

/** A request as it was read: its tensors, and what else it says. */
export interface ReadBody {
  readonly inputs: NamedTensors;
  /** The inputs as they will be stored, where that has been worked out already. */
  readonly input?: PredictionInput | undefined;
}

/** A body for a thread; its bytes are handed over. */
export interface ReadJob<Context> {
  readonly body: Uint8Array;
  readonly context: Context;
}

/** The request without its tensors, which are in the input: whoever gets it lays views over those. */
export type ReadReply<Read extends ReadBody> =
  | { readonly refused: WireError }
  | {
      readonly request: Omit<Read, 'inputs'>;
      readonly input: Omit<PredictionInput, 'content'>;
      readonly content: Uint8Array<ArrayBuffer>;
    };

/** Reads a body, on whatever thread; `context` is what it takes to understand it. */
export type Read<Context, Result extends ReadBody> = (body: Buffer, context: Context) => Result;

/**
 * Reads the JSON of predictions without holding up the event loop.
 *
 * A large body goes to a thread, which reads it with the same code as a small one is read with, so
 * the answer is the same, and lays it out as it will be stored. What comes back is that memory; no
 * number is copied or looked at here again. A thread that dies costs its body, and no other, a 503.
 */
export abstract class BodyReader<
  Context,
  Result extends ReadBody,
> implements OnApplicationShutdown {
  private readonly threads: ThreadPool<ReadJob<Context>, ReadReply<Result>>;

  /** @param entry the compiled file that calls `readBodies` with the same function */
  protected constructor(
    private readonly readInline: Read<Context, Result>,
    entry: string,
    maxBodyBytes: number,
  ) {
    this.threads = new ThreadPool({
      entry,
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

  /** @throws ReadingOverloadedError, RequestReaderLostError, and what reading throws */
  async read(body: Buffer, context: Context): Promise<Result> {
    if (body.length <= INLINE_BODY_BYTES) return this.readInline(body, context);
    const bytes = body.length;
    if (bytesInside > 0 && bytesInside + bytes > MAX_BYTES_INSIDE) {
      throw new ReadingOverloadedError('Too many large bodies wait to be read; try again', {
        retryAfterSeconds: 1,
      });
    }
    bytesInside += bytes;
    try {
      const own = ownBytes(body);
      return toRequest(await this.threads.run({ body: own, context }, [own.buffer]));
    } finally {
      bytesInside -= bytes;
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.threads.close();
  }
}

function toRequest<Result extends ReadBody>(reply: ReadReply<Result>): Result {
  if ('refused' in reply) throw new RelayedError(reply.refused);
  const { request, content } = reply;
  const input = { ...reply.input, content: Buffer.from(content.buffer) };
  // What was taken out on the thread is put back.
  return { ...request, inputs: tensorsOf(input), input } as unknown as Result;
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
