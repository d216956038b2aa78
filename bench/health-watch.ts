import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { type HealthReading } from './health-watch.entry';

/** How fast a service says that it is alive while others load it, seen from a process of its own. */
export class HealthWatch {
  private readonly child: ChildProcess;

  constructor(serviceUrl: string) {
    this.child = fork(join(__dirname, 'health-watch.entry.js'), [`${serviceUrl}/health/live`]);
  }

  /** What it was since the last time. */
  async read(): Promise<HealthReading> {
    const answer = once(this.child, 'message');
    this.child.send('read');
    const [reading] = (await answer) as [HealthReading];
    return reading;
  }

  stop(): void {
    this.child.kill('SIGTERM');
  }
}
