import { type Request } from 'express';

import { BadSyntaxError, type Fault } from '../common/errors';
import { DEFAULT_LIMIT, MAX_LIMIT } from '../common/page';
import { parseTime } from '../common/time';

/** A query string with an unknown, repeated or malformed parameter. */
export class BadQueryError extends BadSyntaxError {
  override readonly code = 'bad_query';
}

/** Reads one parameter: the value, or a sentence that says what is wrong with it. */
export interface ParameterReader<T> {
  readonly read: (text: string) => { readonly value: T } | { readonly fault: string };
  /** Whether the parameter may stand several times; its value is then a list. */
  readonly many?: boolean;
  /** Longest text that is read; 512 characters otherwise. */
  readonly maxLength?: number;
}

type Readers = Readonly<Record<string, ParameterReader<unknown>>>;

/** What `readQuery` gives: each parameter that was sent. */
export type QueryOf<R extends Readers> = {
  readonly [K in keyof R]?: R[K] extends ParameterReader<infer T> ? T : never;
};

const MAX_TEXT = 512;

/**
 * Reads a query string by an allow-list: a parameter that is not in it is a mistake, never
 * ignored, and nothing of it can become an operator of the database.
 *
 * @throws BadQueryError with every fault
 */
export function readQuery<R extends Readers>(
  { query }: Pick<Request, 'query'>,
  readers: R,
): QueryOf<R> {
  const faults: Fault[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, given] of Object.entries(query)) {
    const reader = Object.hasOwn(readers, name) ? readers[name] : undefined;
    if (!reader) {
      faults.push({ path: name.slice(0, 60), message: `unknown parameter; ${allowed(readers)}` });
      continue;
    }
    const texts = (Array.isArray(given) ? given : [given]) as string[];
    if (texts.length > 1 && reader.many !== true) {
      faults.push({ path: name, message: 'stands more than once' });
      continue;
    }
    const results = texts.map((text) => readOne(reader, text));
    for (const result of results) {
      if ('fault' in result) faults.push({ path: name, message: result.fault });
    }
    const list = results.flatMap((result) => ('value' in result ? [result.value] : []));
    values[name] = reader.many === true ? list : list[0];
  }
  if (faults.length > 0) {
    const [first] = faults;
    throw new BadQueryError(`Query parameter ${first?.path ?? ''}: ${first?.message ?? ''}`, {
      faults,
    });
  }
  return values as QueryOf<R>;
}

function readOne(
  reader: ParameterReader<unknown>,
  text: string,
): ReturnType<ParameterReader<unknown>['read']> {
  const { maxLength = MAX_TEXT } = reader;
  if (text.length > maxLength) return { fault: `longer than ${maxLength} characters` };
  return reader.read(text);
}

function allowed(readers: Readers): string {
  const names = Object.keys(readers);
  return names.length === 0 ? 'this route takes none' : `allowed are ${names.join(', ')}`;
}

export const text: ParameterReader<string> = {
  read: (given) => (given === '' ? { fault: 'is empty' } : { value: given }),
};

/** A text that `isValid` accepts, e.g. a model name. */
export function textThat(
  isValid: (text: string) => boolean,
  what: string,
): ParameterReader<string> {
  return { read: (given) => (isValid(given) ? { value: given } : { fault: `is not ${what}` }) };
}

export function oneOf<const T extends string>(values: readonly T[]): ParameterReader<T> {
  return {
    read: (given) => {
      const value = values.find((candidate) => candidate === given);
      return value === undefined ? { fault: `must be one of ${values.join(', ')}` } : { value };
    },
  };
}

export function wholeNumber(min: number, max: number): ParameterReader<number> {
  return {
    read: (given) => {
      const value = /^\d{1,15}$/.test(given) ? Number(given) : NaN;
      return value >= min && value <= max
        ? { value }
        : { fault: `must be a whole number from ${min} to ${max}` };
    },
  };
}

export const flag: ParameterReader<boolean> = {
  read: (given) =>
    given === 'true' || given === 'false'
      ? { value: given === 'true' }
      : { fault: 'must be true or false' },
};

/** An ISO 8601 date, or a time with its zone. */
export const time: ParameterReader<Date> = {
  read: (given) => {
    // A plus sign of a zone arrives as a space where it was not escaped.
    const value = parseTime(given.replace(' ', '+'));
    return value ? { value } : { fault: 'must be an ISO 8601 time such as 2026-01-31T12:00:00Z' };
  },
};

/** `key:value`, as tags are searched. */
export const keyValue: ParameterReader<{ readonly key: string; readonly value: string }> = {
  read: (given) => {
    const colon = given.indexOf(':');
    return colon > 0
      ? { value: { key: given.slice(0, colon), value: given.slice(colon + 1) } }
      : { fault: 'must read key:value' };
  },
};

export function many<T>(reader: ParameterReader<T>): ParameterReader<T[]> {
  return { read: reader.read as unknown as ParameterReader<T[]>['read'], many: true };
}

/** The two parameters of every list. */
export const PAGE_PARAMETERS = {
  limit: wholeNumber(1, MAX_LIMIT),
  cursor: text,
};

/** How many items a page was asked to hold. */
export function limitOf(query: { readonly limit?: number }): number {
  return query.limit ?? DEFAULT_LIMIT;
}
