import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** What becomes of bytes on their way: `cut` ends connections, `frozen` keeps them and says nothing. */
export type LinkState = 'open' | 'cut' | 'frozen' | 'slow' | 'sliced';

const SLOW_MS = 150;
const SLICE_BYTES = 200;

/** A network between the service and the database that can fail; new connections fail alike. */
export interface TcpProxy {
  readonly port: number;
  set(state: LinkState): void;
  /** Ends each open connection once, as a router does that forgets them. */
  resetAll(): void;
  close(): Promise<void>;
}

export async function startTcpProxy(host: string, targetPort: number): Promise<TcpProxy> {
  let state: LinkState = 'open';
  let thaw: (() => void) | undefined;
  let thawed = Promise.resolve();
  const sockets = new Set<Socket>();
  const track = (socket: Socket): Socket => {
    sockets.add(socket);
    // Being cut is what the test is about.
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  const pump = async (from: Socket, to: Socket): Promise<void> => {
    try {
      for await (const piece of from as AsyncIterable<Buffer>) {
        await thawed;
        if (state === 'slow') await delay(SLOW_MS);
        const step = state === 'sliced' ? SLICE_BYTES : piece.length;
        for (let at = 0; at < piece.length; at += step) {
          to.write(piece.subarray(at, at + step));
          if (state === 'sliced') await delay(0);
        }
      }
    } catch {
      // The other side is told below.
    }
    to.destroy();
  };
  const resetAll = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const server = createServer((client) => {
    track(client);
    if (state === 'cut') {
      client.resetAndDestroy();
      return;
    }
    const upstream = track(connect(targetPort, host));
    void pump(client, upstream);
    void pump(upstream, client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const set = (next: LinkState): void => {
    state = next;
    if (next === 'frozen') {
      thawed = new Promise((resolve) => {
        thaw = resolve;
      });
    } else {
      thaw?.();
    }
    if (next === 'cut') resetAll();
  };
  return {
    port: (server.address() as AddressInfo).port,
    set,
    resetAll,
    close: async () => {
      set('open');
      resetAll();
      server.close();
      await once(server, 'close');
    },
  };
}
