import fc from 'fast-check';

import { InvalidInputError } from '../../../../src/common/errors';
import { type Clause, parseFilter } from '../../../../src/protocols/mlflow/parse-filter';
import { likePattern } from '../../../../src/protocols/mlflow/registry-search';

const FIELDS = { name: 'text or list', version_number: 'number', source_path: 'text' } as const;
const parse = (text: string): Clause[] => parseFilter(text, FIELDS);

const anyText = fc.string({ unit: 'binary', maxLength: 12 });
const textOperator = fc.constantFrom('=', '!=', 'LIKE', 'ILIKE');
const quoted = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** A clause with one of its spellings. */
const spelled = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('tag', 'tags', 'TAGS'),
      anyText.filter((key) => key !== '' && !key.includes('`')),
      textOperator,
      anyText.filter((value) => !value.includes('%')),
    )
    .map(([word, tag, operator, value]) => ({
      clause: { tag, operator, value },
      text: `${word}.\`${tag}\` ${operator.toLowerCase()}${quoted(value)}`,
    })),
  fc
    .tuple(fc.constantFrom('name', 'source_path'), textOperator, anyText)
    .map(([field, operator, value]) => ({
      clause: { field, operator, value },
      text: `attribute.${field}  ${operator} ${quoted(value)}`,
    })),
  fc
    .tuple(fc.constantFrom('IN', 'NOT IN'), fc.array(anyText, { minLength: 1, maxLength: 4 }))
    .map(([operator, value]) => ({
      clause: { field: 'name', operator, value },
      text: `name ${operator} (${value.map(quoted).join(' , ')})`,
    })),
  fc.tuple(fc.constantFrom('=', '!=', '<', '<=', '>', '>='), fc.nat()).map(([operator, value]) => ({
    clause: { field: 'version_number', operator, value },
    text: `version_number${operator}${value}`,
  })),
);

describe('the filter of a registry search', () => {
  it('reads what is spelled, however it is spelled', () => {
    fc.assert(
      fc.property(
        fc.array(spelled, { maxLength: 5 }),
        fc.constantFrom(' AND ', '\nand\t'),
        (all, and) => {
          const read = parse(`  ${all.map(({ text }) => text).join(and)} `);
          expect(read).toEqual(all.map(({ clause }) => clause));
        },
      ),
    );
  });

  it('reads any other text or refuses it in a sentence, and never fails otherwise', () => {
    const piece = fc.oneof(
      anyText,
      fc.constantFrom(
        "name = 'a'",
        ' AND ',
        'tags.',
        '`',
        "'",
        '"',
        'LIKE',
        ' IN (',
        ')',
        ',',
        '1',
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        try {
          parse(pieces.join(''));
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInputError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('takes keys with dots bare, and in either quotes', () => {
    for (const key of ['mlflow.a-b/c', '`mlflow.a-b/c`', '"mlflow.a-b/c"']) {
      expect(parse(`tag.${key} = "x"`)).toEqual([
        { tag: 'mlflow.a-b/c', operator: '=', value: 'x' },
      ]);
    }
  });

  it.each(
    [
      "name = 'a' OR name = 'b'",
      "name = 'a' AND",
      "AND name = 'a'",
      "name = 'a' name = 'b'",
      "name = 'a'AND",
      'name = a',
      "name = 'a",
      'name = 7',
      "name < 'a'",
      "name IN 'a'",
      'name IN ()',
      "name IN ('a',)",
      "source_path IN ('a')",
      "version_number = '7'",
      'version_number LIKE 7',
      'version_number = 1.5',
      "params.a = 'b'",
      "nothing = 'a'",
      "constructor = 'a'",
      "tags = 'a'",
      "tags.`` = 'a'",
      "name = 'a';",
      "(name = 'a')",
      `name LIKE '${'%a'.repeat(17)}'`,
      Array.from({ length: 33 }, () => "name = 'a'").join(' AND '),
      `name = '${'a'.repeat(9000)}'`,
    ].map((text) => [text.slice(0, 60), text]),
  )('refuses %s', (_, text = '') => {
    expect(() => parse(text)).toThrow(InvalidInputError);
  });
});

describe('the pattern of a LIKE', () => {
  /** By the book: tries every way to cut the text. */
  const isLike = (pattern: string, text: string): boolean => {
    const [first] = pattern;
    if (first === undefined) return text === '';
    const rest = pattern.slice(1);
    if (first === '%') return isLike(rest, text) || (text !== '' && isLike(pattern, text.slice(1)));
    return text !== '' && (first === '_' || first === text[0]) && isLike(rest, text.slice(1));
  };
  const small = fc.string({
    unit: fc.constantFrom('a', 'B', '.', '*', '$', '\n', '%', '_', '-'),
    maxLength: 7,
  });

  it('matches what it says and nothing else', () => {
    fc.assert(
      fc.property(small, small, (pattern, text) => {
        expect(new RegExp(likePattern(pattern), 's').test(text)).toBe(isLike(pattern, text));
      }),
      { numRuns: 3000 },
    );
  });
});
