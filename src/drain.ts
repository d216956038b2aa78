import { type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { type BackgroundWork } from './common/background-work';
import { type ModelRuntime } from './runtime/model-runtime.service';

/** Within the ten seconds after which container platforms lose patience, with time to write records. */
const DRAIN_WITHIN_MS = 7_000;
const LOOK_EVERY_MS = 20;

/**
 * Ends the serving of requests without failing one that is being computed, and what runs beside them.
 *
 * Nothing new is accepted, predictions that wait are answered 503, those under way finish, as does
 * the page that a sweep is at; what has not ended in time, such as a long upload, loses its
 * connection and is cleaned up after.
 */
export async function drain(
  server: Server,
  runtime: ModelRuntime,
  background: BackgroundWork,
): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  // A connection that falls idle after an answer would be kept open for its next request.
  const closing = setInterval(() => {
    server.closeIdleConnections();
  }, LOOK_EVERY_MS);
  await Promise.race([
    Promise.all([closed, runtime.drain(), background.stop()]),
    sleep(DRAIN_WITHIN_MS, undefined, { ref: false }),
  ]);
  clearInterval(closing);
  server.closeAllConnections();
}
