import { Readable } from 'node:stream';

import fc from 'fast-check';

import { ndjsonLines } from '../../../src/predictions/ndjson-lines';

async function linesOf(pieces: readonly string[], maxBytes = 100): Promise<[number, string][]> {
  const lines: [number, string][] = [];
  const source = Readable.from(pieces.map((piece) => Buffer.from(piece)));
  for await (const { number, bytes } of ndjsonLines(source, maxBytes)) {
    lines.push([number, bytes.toString()]);
  }
  return lines;
}

describe('ndjsonLines', () => {
  it('counts empty lines and leaves them out', async () => {
    expect(await linesOf(['a\r\n\n\nb', 'c\n', 'd'])).toEqual([
      [1, 'a'],
      [4, 'bc'],
      [5, 'd'],
    ]);
    expect(await linesOf([])).toEqual([]);
  });

  it('gives the same lines however the bytes are cut', async () => {
    const text = fc.array(fc.constantFrom('a', 'bc', '\n', '\r\n', 'é'), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(text, async (pieces) => {
        expect(await linesOf(pieces)).toEqual(await linesOf([pieces.join('')]));
      }),
    );
  });

  it('gives up on a line that does not end', async () => {
    await expect(linesOf(['ok\n', 'x'.repeat(60), 'x'.repeat(60)])).rejects.toMatchObject({
      code: 'line_too_long',
      details: { line: 2, maxBytes: 100 },
    });
  });
});
