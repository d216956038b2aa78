import { packTexts, unpackTexts } from '../../../src/common/text-bytes';

describe('packTexts and unpackTexts', () => {
  it.each([
    ['none', []],
    ['empty ones', ['', '', 'a', '']],
    ['those of several bytes a character', ['é', '日本', '🙂']],
    ['a byte order mark, which is part of the text', ['\ufeffa', '\ufeff']],
  ])('give back %s', (_what, texts) => {
    const packed = packTexts(texts.map((text) => Buffer.from(text)));

    expect(unpackTexts(packed)).toEqual(texts);
  });
});
