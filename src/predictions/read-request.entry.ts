import { parentPort } from 'node:worker_threads';

import { StoreError } from '../common/errors';
import { toWire } from '../common/relayed-error';
import { type Numbered, ownBytes } from '../common/thread-pool';
import { tensorInput } from './prediction-input';
import { readRequest, type ReadJob, type ReadReply } from './read-request';

// A thread of RequestReader: one body at a time. Any error but a refusal ends the thread, and so its body.
parentPort?.on('message', ({ id, content: job }: Numbered<ReadJob>) => {
  const content = answer(job);
  const reply: Numbered<ReadReply> = { id, content };
  parentPort?.postMessage(reply, 'refused' in content ? [] : [content.content.buffer]);
});

function answer({ body, signature }: ReadJob): ReadReply {
  try {
    const { inputs, ...request } = readRequest(Buffer.from(body.buffer), signature);
    const { content, ...input } = tensorInput(inputs);
    return { request, input, content: ownBytes(content) };
  } catch (error) {
    if (error instanceof StoreError) return { refused: toWire(error) };
    throw error;
  }
}
