import { type Fault } from '../common/errors';
import { InvalidArtifactError } from './formats.errors';

/** Faults beyond these are only counted: a hostile file could have a million of them. */
const MAX_SHOWN = 100;

const MAX_QUOTED = 80;

const MAX_LISTED = 10;

/** Gathers what is wrong with one artifact, so that its author can mend it in one go. */
export class FaultLog {
  private readonly shown: Fault[] = [];
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** The same fault found twice, on two ways to one place, counts once. */
  add(path: string, message: string): void {
    if (this.shown.some((fault) => fault.path === path && fault.message === message)) return;
    if (this.count++ < MAX_SHOWN) this.shown.push({ path, message });
  }

  /** @throws InvalidArtifactError when there is any fault */
  throwIfAny(): void {
    const [first] = this.shown;
    if (!first) return;
    const others = this.count - 1;
    const more = others === 0 ? '' : `, and ${others} more ${others === 1 ? 'fault' : 'faults'}`;
    throw new InvalidArtifactError(
      `The artifact could not be loaded: ${first.path}: ${first.message}${more}`,
      this.shown,
      { faultCount: this.count },
    );
  }
}

/** Text out of an artifact, made short and harmless enough for a message. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
}

export function quotedList(texts: readonly string[]): string {
  const more = texts.length > MAX_LISTED ? ', …' : '';
  return `${texts.slice(0, MAX_LISTED).map(quoted).join(', ')}${more}`;
}
