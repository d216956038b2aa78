import { type IncomingMessage } from 'node:http';

/** What the last request said: those that come together mostly say the same. */
let last = { given: '', type: '' };

/** The media type that a request says its body has: lower case, without parameters; or ''. */
export function mediaTypeOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['content-type'] ?? '';
  if (given !== last.given) {
    const [type = ''] = given.split(';');
    last = { given, type: type.trim().toLowerCase() };
  }
  return last.type;
}
