import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below what operating systems give to outgoing connections (Linux from 32768, others from 49152)
 * and above the well-known ones. A database that is started again must find its port free: out of
 * the ephemeral range any connection of any program could sit on it by then.
 */
const FIRST_PORT = 20_000;
const END_PORT = 32_000;
const ATTEMPTS = 20;

/** The preferred port of 127.0.0.1 when nobody listens there, otherwise one that is free. */
export async function freePort(preferred = 0): Promise<number> {
  if (preferred > 0 && (await canListen(preferred)) !== null) return preferred;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = await canListen(randomInt(FIRST_PORT, END_PORT));
    if (port !== null) return port;
  }
  return (await canListen(0)) ?? 0;
}

/** @returns the port, which for 0 is any that is free; null where it is taken */
async function canListen(port: number): Promise<number | null> {
  const server = createServer();
  try {
    return await new Promise<number | null>((resolve) => {
      server.once('error', () => {
        resolve(null);
      });
      server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
        const address = server.address();
        resolve(typeof address === 'object' && address ? address.port : null);
      });
    });
  } finally {
    server.close();
  }
}
