import { type EngineName } from './engines/engine';
import { OneAtATime } from './engines/one-at-a-time';
import { type Executor } from './executor';
import { ExecutorLostError } from './runtime.errors';

/** How long executors are kept for the next upload. */
const IDLE_MS = 30_000;

/** What is done with an executor; it may have work done with that of another engine meanwhile. */
export type Work<T> = (executor: Executor, beside: Beside) => Promise<T>;
export type Beside = <T>(engine: EngineName, work: Work<T>) => Promise<T>;

/**
 * Executors apart from the pool, one for each engine, for models that nobody has vouched for yet:
 * one that hangs or crashes takes no traffic with it.
 *
 * One piece of work at a time. After a failure the process is thrown away, with whatever the
 * failed model left in its memory.
 */
export class Sandbox {
  private readonly turn = new OneAtATime();
  private readonly executors = new Map<EngineName, Promise<Executor>>();
  private idle: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(private readonly startExecutor: (engine: EngineName) => Promise<Executor>) {}

  /** @param soon an engine that the work will want beside its own; it starts meanwhile */
  async run<T>(engine: EngineName, work: Work<T>, soon?: EngineName): Promise<T> {
    return await this.turn.run(async () => {
      clearTimeout(this.idle);
      try {
        if (soon) void this.ready(soon);
        return await this.use(engine, work);
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

  private async use<T>(engine: EngineName, work: Work<T>): Promise<T> {
    const beside: Beside = async (other, more) => await this.use(other, more);
    try {
      const known = await this.ready(engine);
      if (known.isAlive) return await work(known, beside);
      this.executors.delete(engine);
      return await work(await this.ready(engine), beside);
    } catch (error) {
      await this.discard(engine);
      throw error;
    }
  }

  /** The executor of an engine; that it does not start is told to whoever waits for it. */
  private ready(engine: EngineName): Promise<Executor> {
    // A process that is started now is one that nobody would end.
    if (this.stopped) throw new ExecutorLostError('The sandbox was stopped');
    let starting = this.executors.get(engine);
    if (!starting) {
      starting = this.startExecutor(engine);
      starting.catch(() => undefined);
      this.executors.set(engine, starting);
    }
    return starting;
  }

  private async discardAll(): Promise<void> {
    await Promise.all(
      [...this.executors.keys()].map(async (engine) => {
        await this.discard(engine);
      }),
    );
  }

  private async discard(engine: EngineName): Promise<void> {
    const starting = this.executors.get(engine);
    this.executors.delete(engine);
    const executor = await starting?.catch(() => undefined);
    executor?.kill('its work in the sandbox is over');
    await executor?.ended;
  }
}
