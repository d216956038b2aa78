import { type EngineName } from './engines/engine';
import { OneAtATime } from './engines/one-at-a-time';
import { type Executor } from './executor';

/** How long an executor is kept for the next upload. */
const IDLE_MS = 30_000;

/**
 * An executor apart from the pool, for models that nobody has vouched for yet: one that hangs or
 * crashes takes no traffic with it.
 *
 * One piece of work at a time. After a failure the process is thrown away, with whatever the
 * failed model left in its memory.
 */
export class Sandbox {
  private readonly turn = new OneAtATime();
  private executor: Executor | undefined;
  private idle: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(private readonly startExecutor: (engine: EngineName) => Promise<Executor>) {}

  async run<T>(engine: EngineName, work: (executor: Executor) => Promise<T>): Promise<T> {
    return await this.turn.run(async () => {
      clearTimeout(this.idle);
      const executor = await this.ready(engine);
      try {
        const result = await work(executor);
        if (!this.stopped) this.idle = setTimeout(() => void this.discard(), IDLE_MS).unref();
        return result;
      } catch (error) {
        await this.discard();
        throw error;
      }
    });
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.idle);
    await this.discard();
  }

  private async ready(engine: EngineName): Promise<Executor> {
    if (this.executor?.isAlive && this.executor.engine === engine) return this.executor;
    await this.discard();
    this.executor = await this.startExecutor(engine);
    return this.executor;
  }

  private async discard(): Promise<void> {
    const { executor } = this;
    this.executor = undefined;
    executor?.kill('its work in the sandbox is over');
    await executor?.ended;
  }
}
