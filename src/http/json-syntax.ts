/** Where a text stops being JSON (RFC 8259), and why. */
export interface SyntaxFault {
  /** Counted in UTF-16 code units from 0. */
  readonly position: number;
  readonly message: string;
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /-?[A-Za-z_$][\w$]*/y;
const SPACE = /[ \t\n\r]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const LITERALS = new Set(['true', 'false', 'null']);

/** What may stand at a place in the text. */
type Expected = 'value' | 'value or ]' | 'key' | 'key or }' | 'colon' | 'comma or end';

/**
 * Finds the first fault of a text that `JSON.parse` refused, which says it only for some faults.
 *
 * Slower than the parser and without recursion: it runs only after the parser failed.
 */
export function findSyntaxFault(text: string): SyntaxFault {
  const open: ('[' | '{')[] = [];
  let expected = 'value' as Expected;
  let at = 0;
  for (;;) {
    at = endOf(SPACE, text, at);
    const mark = text[at];
    if (mark === undefined) return { position: at, message: 'the text ends too early' };
    if (expected === 'comma or end') {
      const inside = open.at(-1);
      if (inside === undefined) return unexpected(text, at, 'nothing may follow the value');
      if (mark === ',') {
        expected = inside === '[' ? 'value' : 'key';
        at++;
      } else if (mark === closerOf(inside)) {
        open.pop();
        at++;
      } else return unexpected(text, at, `a comma or ${closerOf(inside)} was expected`);
    } else if (expected === 'colon') {
      if (mark !== ':') return unexpected(text, at, 'a colon was expected');
      expected = 'value';
      at++;
    } else if (
      (mark === ']' && expected === 'value or ]') ||
      (mark === '}' && expected === 'key or }')
    ) {
      open.pop();
      expected = 'comma or end';
      at++;
    } else if (mark === '"') {
      const end = endOfString(text, at);
      if (typeof end !== 'number') return end;
      expected = expected === 'key' || expected === 'key or }' ? 'colon' : 'comma or end';
      at = end;
    } else if (expected === 'key' || expected === 'key or }') {
      return unexpected(text, at, 'a key in double quotes was expected');
    } else if (mark === '[' || mark === '{') {
      open.push(mark);
      expected = mark === '[' ? 'value or ]' : 'key or }';
      at++;
    } else {
      const end = endOfScalar(text, at);
      if (end === at) return unexpected(text, at, 'a value was expected');
      expected = 'comma or end';
      at = end;
    }
  }
}

function closerOf(mark: '[' | '{'): string {
  return mark === '[' ? ']' : '}';
}

function unexpected(text: string, position: number, expectation: string): SyntaxFault {
  const word = text.slice(position, endOf(WORD, text, position));
  if (/^-?(?:NaN|Infinity)$/.test(word)) {
    return { position, message: `${word} is no JSON number; send it as the string "${word}"` };
  }
  const shown = JSON.stringify(word === '' ? text[position] : word.slice(0, 20));
  return { position, message: `unexpected ${shown}, ${expectation}` };
}

/** The end of a match that starts exactly at `at`; `at` itself when there is none. */
function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

function endOfScalar(text: string, at: number): number {
  const end = endOf(WORD, text, at);
  if (end > at) return LITERALS.has(text.slice(at, end)) ? end : at;
  return endOf(NUMBER, text, at);
}

function endOfString(text: string, start: number): number | SyntaxFault {
  let at = start + 1;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return at + 1;
    if (code === 0x5c) {
      const end = endOf(ESCAPE, text, at);
      if (end === at) return { position: at, message: 'an unknown escape in a string' };
      at = end;
    } else if (code < 0x20) {
      return { position: at, message: 'a control character in a string' };
    } else if (Number.isNaN(code)) {
      return { position: at, message: 'a string without an end' };
    } else at++;
  }
}
