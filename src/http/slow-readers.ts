import { type Server } from 'node:http';
import { type Socket } from 'node:net';

/**
 * Of what waits for a client it takes so much within the time, or all: with a minute that is a
 * kilobyte a second, less than any line on which somebody would wait for an answer.
 */
const LEAST_BYTES = 64 * 1024;

/** What Node's stream over a connection counts: bytes that were handed over, and those not yet sent. */
interface Counting {
  readonly _handle?: { readonly bytesWritten: number; readonly writeQueueSize: number } | null;
}

/** How far a connection was when it was looked at. */
interface Progress {
  readonly sentBytes: number;
  /** What it will have been sent once all that waits now has gone out. */
  readonly owedBytes: number;
}

/**
 * Cuts the connections of clients that hardly take what they asked for.
 *
 * Whoever reads a byte a second would otherwise hold what was read ahead for it, and a version that
 * is to be deleted, for as long as it likes: nothing in Node bounds the time of an answer. What is
 * still being computed waits for nobody, and connections on which nothing waits are left alone.
 *
 * @returns looks at once, in place of the next look
 */
export function cutSlowReaders(
  server: Server,
  withinMs: number,
  onCut: (address: string | undefined) => void,
): () => void {
  const connections = new Map<Socket, Progress>();
  server.on('connection', (socket: Socket) => {
    connections.set(socket, progressOf(socket));
    socket.once('close', () => connections.delete(socket));
  });
  const look = (): void => {
    for (const [socket, before] of connections) {
      const now = progressOf(socket);
      connections.set(socket, now);
      const least = Math.min(before.owedBytes, before.sentBytes + LEAST_BYTES);
      if (now.sentBytes >= least || socket.destroyed) continue;
      onCut(socket.remoteAddress);
      socket.destroy();
    }
  };
  const looking = setInterval(look, withinMs).unref();
  server.once('close', () => {
    clearInterval(looking);
  });
  return look;
}

function progressOf(socket: Socket): Progress {
  const { _handle: handle } = socket as Counting;
  const owedBytes = socket.bytesWritten;
  // A piece of megabytes is handed over at once and sent bit by bit, which the public counts hide.
  const sentBytes = handle
    ? handle.bytesWritten - handle.writeQueueSize
    : owedBytes - socket.writableLength;
  return { sentBytes, owedBytes };
}
