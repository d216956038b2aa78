import { InvalidInputError } from '../../common/errors';

/** How a field of a filter may be compared. */
const TEXT_OPERATORS = ['=', '!=', 'LIKE', 'ILIKE'] as const;
const LIST_OPERATORS = ['IN', 'NOT IN'] as const;
const NUMBER_OPERATORS = ['=', '!=', '<', '<=', '>', '>='] as const;

export type TextOperator = (typeof TEXT_OPERATORS)[number];
export type ListOperator = (typeof LIST_OPERATORS)[number];
export type NumberOperator = (typeof NUMBER_OPERATORS)[number];

/** What a filter can ask for besides tags, and of what kind each is. */
export type FilterFields = Readonly<Record<string, 'text' | 'text or list' | 'number'>>;

/** One comparison of a filter; all of them have to hold. */
export type Clause =
  | {
      readonly tag: string;
      readonly operator: TextOperator;
      readonly value: string;
    }
  | {
      readonly field: string;
      readonly operator: TextOperator;
      readonly value: string;
    }
  | {
      readonly field: string;
      readonly operator: ListOperator;
      readonly value: readonly string[];
    }
  | {
      readonly field: string;
      readonly operator: NumberOperator;
      readonly value: number;
    };

const MAX_LENGTH = 8192;
const MAX_CLAUSES = 32;
/** Each of them can stand for anything, and the database tries all ways to cut a text. */
const MAX_WILDCARDS = 16;

const SPACE = /\s*/y;
const NAME = /[A-Za-z_]+/y;
const KEY = /[\w./-]+/y;
const QUOTED_KEY = /`([^`]+)`|"([^"]+)"/y;
const TEXT = /'((?:[^']|'')*)'|"((?:[^"]|"")*)"/y;
const NUMBER = /-?\d{1,15}(?![\w.])/y;
const OPERATOR = /!=|<=|>=|=|<|>|(?:NOT\s+IN|ILIKE|LIKE|IN)(?![\w.])/iy;
const AND = /AND(?!\w)/iy;

/**
 * Reads a filter such as ``name LIKE 'dig%' AND tags.`team` = 'vision'``.
 *
 * @throws InvalidInputError that says where it stops being one
 */
export function parseFilter(text: string, fields: FilterFields): Clause[] {
  if (text.length > MAX_LENGTH) {
    throw new InvalidInputError(`The filter is longer than ${MAX_LENGTH} characters`);
  }
  return new FilterParser(text, fields).parse();
}

class FilterParser {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly fields: FilterFields,
  ) {}

  parse(): Clause[] {
    const clauses: Clause[] = [];
    this.take(SPACE);
    if (this.at === this.text.length) return clauses;
    for (;;) {
      clauses.push(this.clause());
      if (clauses.length > MAX_CLAUSES) {
        throw new InvalidInputError(`The filter has more than ${MAX_CLAUSES} comparisons`);
      }
      if (this.at === this.text.length) return clauses;
      if (this.next(AND) === undefined) throw this.expected('AND or the end');
    }
  }

  private clause(): Clause {
    const name = this.next(NAME) ?? '';
    const isTag = /^tags?$/i.test(name);
    if (isTag || /^attributes?$/i.test(name)) {
      if (this.text[this.at] !== '.') throw this.expected('a dot and a name');
      this.at++;
      const key = this.key();
      if (isTag) return this.textClause({ tag: key }, key);
      return this.fieldClause(key);
    }
    return this.fieldClause(name);
  }

  private fieldClause(field: string): Clause {
    const kind = Object.hasOwn(this.fields, field) ? this.fields[field] : undefined;
    if (kind === undefined) {
      const known = [...Object.keys(this.fields), 'tags.`key`'].join(', ');
      throw this.expected(`one of ${known}`);
    }
    if (kind === 'number') return this.numberClause(field);
    if (kind === 'text or list') {
      const start = this.at;
      const operator = find(LIST_OPERATORS, this.operator());
      if (operator) return { field, operator, value: this.list() };
      this.at = start;
    }
    return this.textClause({ field }, field);
  }

  private textClause<T extends { readonly tag: string } | { readonly field: string }>(
    what: T,
    name: string,
  ): T & { readonly operator: TextOperator; readonly value: string } {
    const operator = find(TEXT_OPERATORS, this.operator());
    if (!operator) throw this.wrong(`${name} is compared with ${TEXT_OPERATORS.join(', ')}`);
    const value = this.string();
    const isPattern = operator === 'LIKE' || operator === 'ILIKE';
    if (isPattern && value.split('%').length - 1 > MAX_WILDCARDS) {
      throw this.wrong(`a pattern takes at most ${MAX_WILDCARDS} percent signs`);
    }
    return { ...what, operator, value };
  }

  private numberClause(field: string): Clause {
    const operator = find(NUMBER_OPERATORS, this.operator());
    if (!operator) throw this.wrong(`${field} is compared with ${NUMBER_OPERATORS.join(', ')}`);
    const value = this.next(NUMBER);
    if (value === undefined) throw this.expected('a whole number');
    return { field, operator, value: Number(value) };
  }

  private operator(): string {
    const operator = this.next(OPERATOR);
    if (operator === undefined) throw this.expected('a comparison');
    return operator.toUpperCase().replace(/\s+/, ' ');
  }

  private key(): string {
    QUOTED_KEY.lastIndex = this.at;
    const quoted = QUOTED_KEY.exec(this.text);
    const key = quoted ? (quoted[1] ?? quoted[2]) : this.peek(KEY);
    if (key === undefined || key === '') throw this.expected('the name of a tag');
    this.at += quoted ? quoted[0].length : key.length;
    return key;
  }

  private string(): string {
    this.take(SPACE);
    TEXT.lastIndex = this.at;
    const match = TEXT.exec(this.text);
    if (!match) throw this.expected('a text in quotes');
    this.at += match[0].length;
    this.take(SPACE);
    const [, single, double = ''] = match;
    return single === undefined ? double.replaceAll('""', '"') : single.replaceAll("''", "'");
  }

  private list(): string[] {
    const values: string[] = [];
    if (this.text[this.at] !== '(') throw this.expected('a list in parentheses');
    do {
      this.at++;
      values.push(this.string());
    } while (this.text[this.at] === ',');
    if (this.text[this.at] !== ')') throw this.expected('a comma or )');
    this.at++;
    this.take(SPACE);
    return values;
  }

  /** What stands next, and the space around it is passed over. */
  private next(pattern: RegExp): string | undefined {
    this.take(SPACE);
    const found = this.peek(pattern);
    if (found === undefined) return undefined;
    this.at += found.length;
    if (pattern !== NAME) this.take(SPACE);
    return found;
  }

  private take(pattern: RegExp): void {
    this.at += this.peek(pattern)?.length ?? 0;
  }

  private peek(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text)?.[0];
  }

  private expected(what: string): InvalidInputError {
    const found = JSON.stringify(this.text.slice(this.at, this.at + 20));
    return this.wrong(`${what} was expected at position ${this.at}, where ${found} stands`);
  }

  private wrong(why: string): InvalidInputError {
    return new InvalidInputError(`The filter is not understood: ${why}`);
  }
}

function find<const T extends string>(operators: readonly T[], given: string): T | undefined {
  return operators.find((operator) => operator === given);
}
