import { type EngineName } from './engines/engine';
import { OneAtATime } from './engines/one-at-a-time';
import { type Executor } from './executor';

/** How long executors are kept for the next upload. */
const IDLE_MS = 30_000;

/**
 * Executors apart from the pool, one for each engine, for models that nobody has vouched for yet:
 * one that hangs or crashes takes no traffic with it.
 *
 * One piece of work at a time. After a failure the process is thrown away, with whatever the
 * failed model left in its memory.
 */
export class Sandbox {
  private readonly turn = new OneAtATime();
  private readonly executors = new Map<EngineName, Executor>();
  private idle: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(private readonly startExecutor: (engine: EngineName) => Promise<Executor>) {}

  async run<T>(engine: EngineName, work: (executor: Executor) => Promise<T>): Promise<T> {
    return await this.turn.run(async () => {
      clearTimeout(this.idle);
      try {
        const executor = await this.ready(engine);
        return await work(executor);
      } catch (error) {
        await this.discard(engine);
        throw error;
      } finally {
        if (!this.stopped) this.idle = setTimeout(() => void this.discardAll(), IDLE_MS).unref();
      }
    });
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.idle);
    await this.discardAll();
  }

  private async ready(engine: EngineName): Promise<Executor> {
    const known = this.executors.get(engine);
    if (known?.isAlive) return known;
    const executor = await this.startExecutor(engine);
    this.executors.set(engine, executor);
    return executor;
  }

  private async discardAll(): Promise<void> {
    await Promise.all(
      [...this.executors.keys()].map(async (engine) => {
        await this.discard(engine);
      }),
    );
  }

  private async discard(engine: EngineName): Promise<void> {
    const executor = this.executors.get(engine);
    this.executors.delete(engine);
    executor?.kill('its work in the sandbox is over');
    await executor?.ended;
  }
}
