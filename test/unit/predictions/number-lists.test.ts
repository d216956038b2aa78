import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import openCompiler from 'wabt';

import { entryPath } from '../../../src/common/entry-path';
import { readNumberLists } from '../../../src/predictions/number-lists';
import { NUMBER_LISTS_WASM } from '../../../src/predictions/number-lists.wasm';
import { randomNumbers } from '../../support/random-numbers';

const WAT = join(__dirname, '../../../src/predictions/number-lists.wat');
const random = randomNumbers(41);
const below = (limit: number): number => Math.floor(random() * limit);
const digits = (count: number): string => Array.from({ length: count }, () => below(10)).join('');

function read(
  text: string,
  shape: readonly number[],
): { shape: number[]; values: number[] } | null {
  const lists = readNumberLists(Buffer.from(text), 0, shape);
  if (!lists) return null;
  return { shape: [...lists.shape], values: [...new Float32Array(lists.data.buffer)] };
}

/** Each number as the kernel and as the engine read it, where those differ. */
function differences(texts: readonly string[]): unknown[] {
  const read = readNumberLists(Buffer.from(`[${texts.join()}]`), 0, [-1]);
  const values = new Float32Array(read?.data.buffer ?? new ArrayBuffer(0));
  expect(values.length).toBe(texts.length);
  return texts
    .map((text, at) => [text, values[at], Math.fround(JSON.parse(text) as number)])
    .filter(([, got, wanted]) => !Object.is(got, wanted));
}

/**
 * The decimals of 19 digits around the middle between a double and the next one, the double being
 * the middle of two float32 itself: one wrong rounding on the way shows in the result.
 */
function aroundMiddle(): string[] {
  const mantissa = (BigInt(0x800000 + below(0x800000)) << 29n) | (1n << 28n);
  const twice = 2n * mantissa + 1n;
  const exponent = below(120) - 112;
  // The middle is twice * 2^exponent; times a power of ten that gives it 19 digits.
  const magnitude = Math.floor((54 + exponent) * Math.log10(2));
  const power = 18 - magnitude;
  const [ten, two] = [10n ** BigInt(Math.abs(power)), 1n << BigInt(Math.abs(exponent))];
  const over = (power < 0 ? 1n : ten) * (exponent < 0 ? 1n : two) * twice;
  const under = (power < 0 ? ten : 1n) * (exponent < 0 ? two : 1n);
  const floor = over / under;
  return [floor, floor + 1n].filter((w) => w < 10n ** 19n).map((w) => `${w}e${-power}`);
}

const MANY = 20_000;
const many = (make: () => string): string[] => Array.from({ length: MANY }, make);

describe('numbers in lists', () => {
  it('are read by what the source of the kernel compiles to', async () => {
    const compiler = await openCompiler();
    const { buffer } = compiler
      .parseWat('number-lists.wat', readFileSync(WAT, 'utf8'), { simd: true })
      .toBinary({});

    // Otherwise run `node scripts/build-kernel.mjs`.
    expect(NUMBER_LISTS_WASM).toBe(Buffer.from(buffer).toString('base64'));
  });

  it.each([
    ['doubles below 10^19', () => JSON.stringify((random() - 0.5) * 10 ** (below(50) - 31))],
    ['float32 as doubles print them', () => String(Math.fround(random()))],
    ['whole numbers', () => `${1 + below(9)}${digits(below(18))}`],
    ['fractions with zeros in front', () => `-0.${'0'.repeat(below(12))}${digits(1 + below(7))}`],
    ['digits with an exponent', () => `${1 + below(9)}.${digits(1 + below(17))}e${below(50) - 40}`],
    [
      'what lies half way between two float32',
      () => {
        const word = new Uint32Array([0x20000000 + below(0x40000000)]);
        const [low = 0] = new Float32Array(word.buffer);
        word[0]!++;
        const [high = 0] = new Float32Array(word.buffer);
        return ((low + high) / 2).toPrecision(17 + below(3));
      },
    ],
  ])('come out as JSON.parse rounds them: %s', (_, make) => {
    expect(differences(many(make))).toEqual([]);
  });

  it('come out as JSON.parse rounds them where the smallest error shows', () => {
    expect(differences(Array.from({ length: MANY }, aroundMiddle).flat())).toEqual([]);
    const halves = many(() => {
      const middle = (BigInt(0x800000 + below(0x800000)) << 29n) | (1n << 28n);
      return `${middle >> 1n}.25`;
    });
    const whole = many(
      () => `${(((BigInt(0x800000 + below(0x800000)) << 29n) | (1n << 28n)) << 1n) + 1n}`,
    );
    expect(differences([...halves, ...whole])).toEqual([]);
  });

  it('come out exactly at the edges of float64 and float32', () => {
    const edges = [
      ...['0', '-0', '-0.0e5', '0e-999', '1E+2', '3e-0', '9007199254740992', '9007199254740993'],
      ...['18446744073709551615', '9999999999999999999', '0.1e1', '1e22', '1e23', '8.5e-22'],
      // Half way between two doubles, with an even and an odd one below.
      ...['9007199254740995', '9007199254740997e0', '4503599627370496.5', '4503599627370497.5'],
      ...['3.4028234663852886e38', '1.401298464324817e-45', '7.006492321624085e-46', '1e-60'],
      ...['1.17549435e-38', '16777217', '16777219', '0.000000000000000000001', '1e-90'],
    ];
    const plain = edges.filter((text) => text !== '18446744073709551615');

    expect(differences(plain)).toEqual([]);
    expect(read('[18446744073709551615]', [-1])).toBeNull();
  });

  it('take the sizes that are asked for, and any where a size is open', () => {
    const text = ' [ [[1 , 2],\t[3,4]]\r\n,[[5,6],[7,8.5]] ] ';
    const values = [1, 2, 3, 4, 5, 6, 7, 8.5];

    expect(read(text, [-1, 2, 2])).toEqual({ shape: [2, 2, 2], values });
    expect(read(text, [-1, -1, -1])).toEqual({ shape: [2, 2, 2], values });
    expect(read(text, [-1, 2, 3])).toBeNull();
    expect(read(text, [-1, 2])).toBeNull();
    expect(read(text, [-1, 2, 2, 1])).toBeNull();
    expect(read('[[1,2],[3]]', [-1, -1])).toBeNull();
    expect(read('[[1],[2],[3]]', [2, 1])).toBeNull();
  });

  it.each([
    ...['', '[', '[]', '[[]]', '[1', '[1,', '[1,]', '[,1]', '1', '[1 2]', '[1}', '[[1]', '{"a":1}'],
    ...[
      '[01]',
      '[-]',
      '[+1]',
      '[.5]',
      '[1.]',
      '[1.e2]',
      '[1e]',
      '[1e+]',
      '[0x10]',
      '[1_0]',
      '[-01]',
    ],
    ...[
      '[null]',
      '[true]',
      '["1"]',
      '[NaN]',
      '[Infinity]',
      '[{}]',
      '[1;2]',
      '[1,\u00a02]',
      '[1,\v2]',
    ],
    ...['[1e39]', '[-3.4028236e38]', '[1e400]', '[1e-1000]', '[12345678901234567890]', '[1\0]'],
  ])('are left to another reader where they are not plain: %j', (text) => {
    expect(read(text, [-1])).toBeNull();
  });

  it('never read what an earlier text left behind', () => {
    expect(read('[1,2,3,4,5,6,7,8]', [-1])?.values).toHaveLength(8);
    expect(read('[9,', [-1])).toBeNull();
    expect(read('[1', [-1])).toBeNull();
    expect(read('[[1,2],[3,4]]', [-1, -1])?.shape).toEqual([2, 2]);
    expect(read('[[1,2,3]]', [-1, -1])?.shape).toEqual([1, 3]);
  });

  it('say where the text behind them begins', () => {
    const text = Buffer.from('{"instances": [[1], [2]] , "id": "a"}');

    const lists = readNumberLists(text, 13, [-1, 1]);

    expect(text.toString('latin1', lists?.end)).toBe(' , "id": "a"}');
  });

  it('are read from texts of any length, each in memory of its own', () => {
    for (const count of [10_000, 300_000, 10, 100_000]) {
      const numbers = Array.from({ length: count }, () => Math.fround(random()));
      const lists = readNumberLists(Buffer.from(JSON.stringify(numbers)), 0, [-1]);

      expect(lists?.data.buffer.byteLength).toBe(4 * count);
      expect(
        Buffer.from(lists!.data.buffer).equals(Buffer.from(Float32Array.from(numbers).buffer)),
      ).toBe(true);
    }
  });

  it('are left to another reader where the system grants no memory', () => {
    const kernel = entryPath(join(__dirname, '../../../src/predictions'), 'number-lists');
    const program = `console.log(require(${JSON.stringify(kernel)}).readNumberLists(Buffer.from('[1]'), 0, [-1]))`;
    // WebAssembly sets aside ten gigabytes of addresses for each memory.
    const limited = ['-c', 'ulimit -v 6000000 && exec "$0" -e "$1"', process.execPath, program];

    expect(execFileSync('sh', limited, { encoding: 'utf8' }).trim()).toBe('null');
  });

  it('refuse shapes that nothing plain has', () => {
    expect(read('[1]', [])).toBeNull();
    expect(read('[[1]]', [-1, 0])).toBeNull();
    expect(read('[1]', Array(17).fill(-1) as number[])).toBeNull();
  });
});
