import fc from 'fast-check';

import { isAlias, isModelName, parseModelRef, parseModelUrl } from '../../../src/common/model-ref';

describe('isModelName', () => {
  it.each(['digits', 'a', '0', 'A.b_c-d', 'x'.repeat(128)])('accepts %s', (name) => {
    expect(isModelName(name)).toBe(true);
  });

  it.each([
    '',
    '.',
    '..',
    '.a',
    '-a',
    '_a',
    'a/b',
    'a b',
    'a@b',
    'ä',
    'a\n',
    'a..b',
    'x'.repeat(129),
  ])('refuses %j (103)', (name) => {
    expect(isModelName(name)).toBe(false);
  });
});

describe('isAlias', () => {
  it.each(['live', 'canary', 'A_b-1', 'version', 'v', 'v1x'])('accepts %s', (alias) => {
    expect(isAlias(alias)).toBe(true);
  });

  it.each(['', 'latest', 'v1', 'V12', '1a', 'a.b', 'a b', 'x'.repeat(65)])(
    'refuses %j',
    (alias) => {
      expect(isAlias(alias)).toBe(false);
    },
  );
});

describe('parseModelRef', () => {
  it.each([
    ['digits', { model: 'digits', alias: 'live' }],
    ['digits@canary', { model: 'digits', alias: 'canary' }],
    ['digits/versions/3', { model: 'digits', version: 3 }],
  ])('reads %s', (text, ref) => {
    expect(parseModelRef(text)).toEqual(ref);
  });

  it.each(['', '@live', 'digits@', 'digits@latest', 'digits/versions/0', 'digits/3', 'a@b@c'])(
    'refuses %j',
    (text) => {
      expect(() => parseModelRef(text)).toThrow(/is|starts/);
    },
  );

  it('reads any text or refuses it with a fault, in no time', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        try {
          return isModelName(parseModelRef(text).model);
        } catch (error) {
          return (error as { code?: string }).code === 'invalid_input';
        }
      }),
    );
  });
});

describe('parseModelUrl', () => {
  it.each([
    ['gridfs://digits', { model: 'digits', alias: 'live' }],
    ['gridfs://digits@canary', { model: 'digits', alias: 'canary' }],
    ['gridfs://digits/3', { model: 'digits', version: 3 }],
    ['models:/digits/3', { model: 'digits', version: 3 }],
    ['models:/digits@canary', { model: 'digits', alias: 'canary' }],
  ])('reads %s', (url, ref) => {
    expect(parseModelUrl(url)).toEqual(ref);
  });

  it.each([
    'digits',
    'http://digits',
    'gridfs:/digits',
    'gridfs://',
    'gridfs://a/b',
    'gridfs://a/1/2',
  ])('refuses %j', (url) => {
    expect(() => parseModelUrl(url)).toThrow();
  });
});
