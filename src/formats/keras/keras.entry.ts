import { strict as assert } from 'node:assert';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';

import { type Fault, InvalidInputError } from '../../common/errors';
import { Hdf5File } from './hdf5-file';
import { planKerasFile, readWeights } from './keras-file';
import { type KerasJob, type KerasReply, NEXT } from './keras-job';
import { KerasTooLargeError } from './keras.errors';

// A thread of KerasReader: describes one file, then hands out its weights as they are asked for.
assert(parentPort);
void serve(parentPort, workerData as KerasJob);

async function serve(port: MessagePort, job: KerasJob): Promise<void> {
  const reply = (message: KerasReply, transfer: ArrayBuffer[] = []): void => {
    port.postMessage(message, transfer);
  };
  try {
    const file = await Hdf5File.open(job.hdf5);
    const plan = planKerasFile(file, job);
    if (!plan) {
      reply({ kind: 'not-keras' });
      return;
    }
    const pieces = readWeights(file, plan);
    port.on('message', (message: unknown) => {
      if (message !== NEXT) return;
      try {
        const next = pieces.next();
        if (next.done === true) reply({ kind: 'end' });
        else reply({ kind: 'piece', bytes: next.value }, [next.value.buffer as ArrayBuffer]);
      } catch (error) {
        reply(refusal(error));
      }
    });
    const { description, weightBytes, warnings } = plan;
    reply({ kind: 'described', description, weightBytes, warnings });
  } catch (error) {
    reply(refusal(error));
  }
}

function refusal(error: unknown): KerasReply {
  if (error instanceof KerasTooLargeError) {
    return { kind: 'too-large', bytes: Number(error.details['bytes']) };
  }
  if (!(error instanceof InvalidInputError)) throw error;
  return {
    kind: 'refused',
    message: error.message,
    faults: (error.details['faults'] ?? []) as readonly Fault[],
  };
}
