import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A place on this machine where exactly one executor connects.
 *
 * A Unix socket in a directory that only this user can enter, or a pipe with a name that nobody
 * can guess. Nothing of it remains once the executor is connected.
 */
export class ExecutorEndpoint {
  private constructor(
    readonly path: string,
    private readonly server: Server,
    private readonly folder: string | null,
  ) {}

  static async open(): Promise<ExecutorEndpoint> {
    // mkdtemp makes directories of mode 0700.
    const name = join(tmpdir(), `gridstow-${process.pid}-`);
    const folder = process.platform === 'win32' ? null : await mkdtemp(name);
    const path = folder
      ? join(folder, 'executor.sock')
      : `\\\\.\\pipe\\gridstow-${randomBytes(16).toString('hex')}`;
    const server = createServer();
    server.maxConnections = 1;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    return new ExecutorEndpoint(path, server, folder);
  }

  /** Resolves with the first connection. */
  async accept(): Promise<Socket> {
    return await new Promise((resolve) => this.server.once('connection', resolve));
  }

  async close(): Promise<void> {
    this.server.close();
    if (this.folder) await rm(this.folder, { recursive: true, force: true });
  }
}
