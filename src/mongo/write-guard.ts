import assert from 'node:assert/strict';
import { type EventEmitter } from 'node:events';
import { createRequire } from 'node:module';

/** What the guard needs of the driver's own connection, which it does not export. */
interface WireConnection extends EventEmitter {
  /** Set by the time it says that it is closed. */
  readonly error: Error;
  writeCommand: (this: WireConnection, command: unknown, options: object) => Promise<void>;
}

let isGuarded = false;

/**
 * Ends operations whose connection is closed before their command is written.
 *
 * The driver (7.8) waits for `drain` when a socket does not take a command at once. A socket that
 * was destroyed since the connection was checked out never drains and reports no error any more, so
 * the operation would hang for good: no time limit of the driver covers this wait unless
 * `timeoutMS` is set, which would end long cursors as well. Here the wait ends with the
 * connection, with the error that the driver itself then retries or reports.
 */
export function guardWrites(): void {
  if (isGuarded) return;
  isGuarded = true;
  const { Connection } = createRequire(__filename)('mongodb/lib/cmap/connection') as {
    readonly Connection: { readonly prototype: WireConnection };
  };
  const { prototype } = Connection;
  const { writeCommand } = prototype;
  assert(typeof writeCommand === 'function', 'This release of the driver writes in another way');

  prototype.writeCommand = async function (this: WireConnection, command, options) {
    await new Promise<void>((resolve, reject) => {
      const onClose = (): void => {
        reject(this.error);
      };
      this.once('close', onClose);
      writeCommand
        .call(this, command, options)
        .finally(() => this.off('close', onClose))
        .then(resolve, reject);
    });
  };
}
