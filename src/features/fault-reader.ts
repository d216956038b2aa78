import { type Fault } from '../common/errors';

/** Reads an untyped document and collects what is wrong with it, each fault with its path. */
export class FaultReader {
  readonly faults: Fault[] = [];

  fault(path: string, message: string): void {
    this.faults.push({ path, message });
  }

  /** An object without keys other than `keys`; an empty one when it is none. */
  object(value: unknown, path: string, keys: readonly string[]): Readonly<Record<string, unknown>> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.fault(path, 'must be a JSON object');
      return {};
    }
    for (const key of Object.keys(value)) {
      if (!keys.includes(key)) {
        this.fault(
          `${path}.${key.slice(0, 60)}`,
          `is not known here; allowed are ${keys.join(', ')}`,
        );
      }
    }
    return value as Readonly<Record<string, unknown>>;
  }

  oneOf<T extends string>(value: unknown, path: string, allowed: readonly T[], fallback: T): T {
    if (value === undefined) return fallback;
    const match = allowed.find((candidate) => candidate === value);
    if (match === undefined) this.fault(path, `must be ${allowed.join(' or ')}`);
    return match ?? fallback;
  }

  wholeNumber(value: unknown, path: string, max: number): number {
    if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= max) return Number(value);
    this.fault(path, `must be a whole number from 1 to ${max}`);
    return 1;
  }

  /** A finite number, or `count` of them. */
  numbers(value: unknown, path: string, count: number, fallback: number): number | number[] {
    if (value === undefined) return fallback;
    if (Number.isFinite(value)) return value as number;
    if (Array.isArray(value) && value.length === count && value.every(Number.isFinite)) {
      return value as number[];
    }
    this.fault(path, `must be a finite number, or a list of ${count}, one per channel`);
    return fallback;
  }
}
