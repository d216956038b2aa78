import { type Document } from 'mongodb';

import { BadSyntaxError, InvalidInputError } from '../../common/errors';
import { type CursorKeys, decodeCursor, encodeCursor } from '../../common/page';
import { type SortedSearch } from '../../models/sorted-search';
import { type Clause, type FilterFields, parseFilter } from './parse-filter';
import { type RequestFields } from './request-fields';

/** Where the fields of the protocol stand in the documents of a collection. */
export interface Searchable {
  readonly filters: FilterFields;
  readonly paths: Readonly<Record<string, string>>;
  readonly orders: readonly string[];
  /** What makes an order out of any wish: behind it no two are equal. */
  readonly tieBreakers: readonly Order[];
}

interface Order {
  readonly field: string;
  readonly direction: 1 | -1;
}

export const MODELS: Searchable = {
  filters: { name: 'text' },
  paths: { name: '_id', creation_timestamp: 'createdAt', last_updated_timestamp: 'updatedAt' },
  orders: ['name', 'creation_timestamp', 'last_updated_timestamp'],
  tieBreakers: [{ field: 'name', direction: 1 }],
};

export const VERSIONS: Searchable = {
  filters: {
    name: 'text or list',
    version_number: 'number',
    run_id: 'text or list',
    source_path: 'text',
  },
  paths: {
    name: 'model',
    version_number: 'version',
    run_id: 'origin.runId',
    source_path: 'origin.source',
    creation_timestamp: 'createdAt',
    last_updated_timestamp: 'updatedAt',
  },
  orders: ['name', 'version_number', 'creation_timestamp', 'last_updated_timestamp'],
  tieBreakers: [
    { field: 'name', direction: 1 },
    { field: 'version_number', direction: -1 },
  ],
};

/** Clients of that registry leave prompts out by this tag, which models do not have. */
const PROMPT_TAG = 'mlflow.prompt.is_prompt';

const MAX_FILTER = 16_384;

const COMPARISONS = {
  '=': '$eq',
  '!=': '$ne',
  '<': '$lt',
  '<=': '$lte',
  '>': '$gt',
  '>=': '$gte',
  IN: '$in',
  'NOT IN': '$nin',
} as const;

/** One search of the registry: what to ask the database, and how its pages go on. */
export class RegistrySearch {
  private readonly order: readonly Order[];
  private readonly clauses: readonly Clause[];
  private readonly scope: string;

  /** @throws InvalidInputError for a filter, an order or a token that is none */
  constructor(
    private readonly fields: RequestFields,
    private readonly of: Searchable,
    private readonly limit: number,
  ) {
    const filter = fields.optionalText('filter', MAX_FILTER) ?? '';
    this.clauses = parseFilter(filter, of.filters);
    this.order = parseOrder(fields.texts('order_by'), of);
    this.scope = `mlflow ${JSON.stringify([of.paths, filter, this.order])}`;
  }

  /** One more than a page holds tells whether there is another. */
  query(): SortedSearch {
    const token = this.fields.optionalText('page_token') ?? '';
    return {
      conditions: [
        ...this.clauses.map((clause) => this.condition(clause)),
        ...(token === '' ? [] : [this.after(token)]),
      ],
      sort: Object.fromEntries(
        this.order.map(({ field, direction }) => [this.pathOf(field), direction]),
      ),
      limit: this.limit + 1,
    };
  }

  /** @param valueOf the value of a found document in a field that can be ordered by */
  page<T>(
    found: readonly T[],
    valueOf: (item: T, field: string) => string | number,
  ): { readonly items: readonly T[]; readonly next_page_token?: string } {
    const items = found.slice(0, this.limit);
    const last = items.at(-1);
    if (found.length <= this.limit || !last) return { items };
    const keys = this.order.map(({ field }) => valueOf(last, field));
    return { items, next_page_token: encodeCursor(keys, this.scope) };
  }

  private condition(clause: Clause): Document {
    const compared = comparison(clause);
    if ('field' in clause) return { [this.pathOf(clause.field)]: compared };
    const { tag, operator, value } = clause;
    const matches = { tags: { $elemMatch: { k: { $eq: tag }, v: compared } } };
    const isNoPrompt =
      (operator === '!=' && value === 'true') || (operator === '=' && value === 'false');
    if (tag !== PROMPT_TAG || !isNoPrompt) return matches;
    return { $or: [matches, { 'tags.k': { $ne: tag } }] };
  }

  /** What comes behind the end of the page before, in an order of several fields. */
  private after(token: string): Document {
    const values = this.valuesIn(token);
    return {
      $or: this.order.map(({ field, direction }, at) => ({
        ...Object.fromEntries(
          this.order
            .slice(0, at)
            .map((before, place) => [this.pathOf(before.field), { $eq: values[place] }]),
        ),
        [this.pathOf(field)]: { [direction === 1 ? '$gt' : '$lt']: values[at] },
      })),
    };
  }

  private valuesIn(token: string): (string | number | Date)[] {
    let keys: CursorKeys;
    try {
      keys = decodeCursor(token, this.scope);
    } catch (error) {
      if (!(error instanceof BadSyntaxError)) throw error;
      throw new InvalidInputError(
        'The page_token is not one that this search gave out; start again without it',
      );
    }
    return keys.map((key, place) => {
      const isTime = this.order[place]?.field.endsWith('_timestamp') === true;
      return isTime ? new Date(key) : key;
    });
  }

  private pathOf(field: string): string {
    return this.of.paths[field] ?? field;
  }
}

function comparison({ operator, value }: Clause): Document {
  if (operator === 'LIKE' || operator === 'ILIKE') {
    return { $regex: likePattern(value), $options: operator === 'ILIKE' ? 'is' : 's' };
  }
  return { [COMPARISONS[operator]]: value };
}

/** The pattern of a LIKE as a regular expression: `%` for any text, `_` for any character. */
export function likePattern(pattern: string): string {
  const parts = pattern.replace(/%+/g, '%').replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
  // Not a dollar: that lets a line end stand behind the text.
  return `^${parts.replaceAll('%', '.*').replaceAll('_', '.')}(?![\\s\\S])`;
}

function parseOrder(wishes: readonly string[], { orders, tieBreakers }: Searchable): Order[] {
  const order: Order[] = [];
  for (const wish of wishes) {
    const match = /^\s*(?:attributes?\.)?(`?)(\w+)\1(?:\s+(ASC|DESC))?\s*$/i.exec(wish);
    const [, , field = '', direction = 'ASC'] = match ?? [];
    if (!orders.includes(field)) {
      throw new InvalidInputError(
        `order_by takes ${orders.join(', ')}, each with ASC or DESC; not understood: ${JSON.stringify(wish.slice(0, 60))}`,
      );
    }
    if (order.some((before) => before.field === field)) {
      throw new InvalidInputError(`order_by names ${field} twice`);
    }
    order.push({ field, direction: direction.toUpperCase() === 'ASC' ? 1 : -1 });
  }
  return [...order, ...tieBreakers.filter(({ field }) => !order.some((o) => o.field === field))];
}
