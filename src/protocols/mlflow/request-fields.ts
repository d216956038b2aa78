import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { type Request } from 'express';

import { BadSyntaxError, InvalidInputError } from '../../common/errors';
import { parseAlias, parseModelName, parseVersion } from '../../common/model-ref';
import { readBody } from '../../http/raw-body';
import { parseStrictJson } from '../../http/strict-json';
import { type Pair } from '../../models/version.doc';

/** Names, descriptions and tags; everything large goes by the artifact routes. */
const MAX_JSON_BYTES = 1024 * 1024;

const MAX_TEXT = 4096;
const MAX_TAGS = 100;
const MAX_TAG_KEY = 250;
const MAX_TAG_VALUE = 8192;

/** Keys that every object has; a tag of that name would be lost in an object of tags. */
const NO_TAG_KEY = /^(__proto__|constructor|prototype)$|[\0-\u001f]/;

/**
 * What a request says, wherever it stands: in the query of a GET, in the JSON body of all others.
 *
 * Fields that mean nothing here are passed over, since clients of all releases send theirs, and so
 * is null, which they send for what is not given.
 */
export class RequestFields {
  constructor(private readonly sent: Readonly<Record<string, unknown>>) {}

  /** @throws InvalidInputError when it is missing or empty */
  text(name: string): string {
    const value = this.optionalText(name);
    if (value === undefined || value === '') throw wrong(name, 'is missing');
    return value;
  }

  optionalText(name: string, maxLength = MAX_TEXT): string | undefined {
    const value = this.sent[name] ?? undefined;
    if (value === undefined) return undefined;
    // Numbers of 64 bits come as either.
    if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
    if (typeof value !== 'string') throw wrong(name, 'must be a string');
    if (value.length > maxLength) throw wrong(name, `is longer than ${maxLength} characters`);
    if (!value.isWellFormed() || value.includes('\0')) throw wrong(name, 'is not valid Unicode');
    return value;
  }

  /** A list in JSON, the same name several times in a query. */
  texts(name: string): string[] {
    const value = this.sent[name] ?? [];
    const list: unknown[] = Array.isArray(value) ? value : [value];
    if (!list.every((item) => typeof item === 'string')) {
      throw wrong(name, 'must be a list of strings');
    }
    return list;
  }

  wholeNumber(name: string, fallback: number, max: number): number {
    const text = this.optionalText(name);
    if (text === undefined) return fallback;
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (!(value >= 1 && value <= max)) {
      throw wrong(name, `must be a whole number from 1 to ${max}`);
    }
    return value;
  }

  model(): string {
    return parseModelName(this.text('name'));
  }

  version(): number {
    return parseVersion(this.text('version'));
  }

  alias(): string {
    const alias = this.text('alias');
    // Reserved in any case here: clients look that one up as the newest version.
    return parseAlias(isLatest(alias) ? alias.toLowerCase() : alias);
  }

  tag(): Pair<string> {
    return toTag(this.text('key'), this.optionalText('value', MAX_TAG_VALUE) ?? '');
  }

  tags(): Pair<string>[] {
    const list = this.sent['tags'] ?? [];
    if (!Array.isArray(list)) throw wrong('tags', 'must be a list of tags');
    if (list.length > MAX_TAGS) throw wrong('tags', `has more than ${MAX_TAGS} tags`);
    const tags = new Map<string, string>();
    for (const item of list as unknown[]) {
      if (!isRecord(item)) throw wrong('tags', 'must be a list of tags');
      const { k, v } = new RequestFields(item).tag();
      tags.set(k, v);
    }
    return [...tags].map(([k, v]) => ({ k, v }));
  }
}

/** The name that stands for the newest version and is no alias. */
export function isLatest(alias: string): boolean {
  return alias.toLowerCase() === 'latest';
}

function toTag(key: string, value: string): Pair<string> {
  if (key.length > MAX_TAG_KEY || NO_TAG_KEY.test(key)) {
    throw wrong('key', `must be a name of at most ${MAX_TAG_KEY} printable characters`);
  }
  return { k: key, v: value };
}

/** The fields of a request, whatever its Content-Type says. */
export const Fields = createParamDecorator(
  async (_data: unknown, context: ExecutionContext): Promise<RequestFields> => {
    const request = context.switchToHttp().getRequest<Request>();
    if (request.method === 'GET') return new RequestFields(request.query);
    const body = await readBody(request, MAX_JSON_BYTES);
    if (body.length === 0) return new RequestFields(request.query);
    const sent = parseStrictJson(body);
    if (!isRecord(sent)) throw new BadSyntaxError('The body must be a JSON object');
    return new RequestFields(sent);
  },
);

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(path: string, message: string): InvalidInputError {
  return new InvalidInputError(`The parameter ${path} ${message}`, []);
}
