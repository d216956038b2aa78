import { parentPort } from 'node:worker_threads';

import { StoreError } from '../common/errors';
import { toWire } from '../common/relayed-error';
import { type Numbered, ownBytes } from '../common/thread-pool';
import { type Read, type ReadBody, type ReadJob, type ReadReply } from './body-reader';
import { tensorInput } from './prediction-input';

/**
 * Makes this thread one of a `BodyReader`: one body at a time. Any error but a refusal ends the
 * thread, and so its body.
 */
export function readBodies<Context, Result extends ReadBody>(read: Read<Context, Result>): void {
  parentPort?.on('message', ({ id, content: job }: Numbered<ReadJob<Context>>) => {
    const content = answer(job, read);
    const reply: Numbered<ReadReply<Result>> = { id, content };
    parentPort?.postMessage(reply, 'refused' in content ? [] : [content.content.buffer]);
  });
}

function answer<Context, Result extends ReadBody>(
  { body, context }: ReadJob<Context>,
  read: Read<Context, Result>,
): ReadReply<Result> {
  try {
    const { inputs, ...request } = read(Buffer.from(body.buffer), context);
    const { content, ...input } = tensorInput(inputs);
    return { request, input, content: ownBytes(content) };
  } catch (error) {
    if (error instanceof StoreError) return { refused: toWire(error) };
    throw error;
  }
}
