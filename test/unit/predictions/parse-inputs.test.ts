import fc from 'fast-check';

import { type Fault, type InvalidInputError } from '../../../src/common/errors';
import { type NamedTensors } from '../../../src/common/tensor';
import { MAX_ROWS, parseColumns, parseRows } from '../../../src/predictions/parse-inputs';
import { flatJson } from '../../../src/predictions/tensor-json';
import { takes } from '../../support/signatures';

const vector = takes({ x: [-1, 3] });
const pair = takes({ image: [-1, 2, 2], mask: [-1, 2] });

function faultsOf(read: () => unknown): readonly Fault[] {
  return failureOf(read).details['faults'] as readonly Fault[];
}

function failureOf(read: () => unknown): InvalidInputError {
  try {
    read();
  } catch (error) {
    return error as InvalidInputError;
  }
  throw new TypeError('accepted');
}

function plain(
  tensors: NamedTensors,
): Record<string, { shape: readonly number[]; values: unknown }> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [
      name,
      { shape: tensor.shape, values: flatJson(tensor) },
    ]),
  );
}

describe('parseRows', () => {
  it('stacks bare rows of the only input', () => {
    const parsed = parseRows(
      [
        [1, 2, 3],
        [4, 5, 6.5],
      ],
      vector,
    );

    expect(parsed.rows).toBe(2);
    expect(plain(parsed.inputs)).toEqual({ x: { shape: [2, 3], values: [1, 2, 3, 4, 5, 6.5] } });
  });

  it('takes rows as objects, with or without :0 behind the names', () => {
    const row = {
      'image:0': [
        [1, 2],
        [3, 4],
      ],
      mask: [0, 1],
    };

    const { inputs, rows } = parseRows([row, row], pair);

    expect(rows).toBe(2);
    expect(plain(inputs)).toEqual({
      image: { shape: [2, 2, 2], values: [1, 2, 3, 4, 1, 2, 3, 4] },
      mask: { shape: [2, 2], values: [0, 1, 0, 1] },
    });
    expect(plain(parseRows([{ x: [1, 2, 3] }, [4, 5, 6]], vector).inputs)['x']?.shape).toEqual([
      2, 3,
    ]);
  });

  it('gives back what was nested, for any shape', () => {
    const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(shapes, fc.boolean(), (shape, open) => {
        let next = 0;
        const nest = (level: number): unknown =>
          level === shape.length
            ? next++
            : Array.from({ length: shape[level]! }, () => nest(level + 1));
        const value = nest(0);
        const spec = takes({ x: open ? shape.map(() => -1) : [-1, ...shape.slice(1)] });

        const tensor = parseRows(value, spec).inputs['x']!;

        expect(tensor.shape).toEqual(shape);
        expect(flatJson(tensor)).toEqual(Array.from({ length: next }, (_, index) => index));
      }),
    );
  });

  it('takes exactly the shape of a model without a batch dimension', () => {
    const fixed = takes({ x: [1, 2] });

    expect(parseRows([[1, 2]], fixed).rows).toBe(1);
    expect(
      faultsOf(() =>
        parseRows(
          [
            [1, 2],
            [3, 4],
          ],
          fixed,
        ),
      ),
    ).toEqual([
      { path: 'instances', message: expect.stringContaining('a list of 1 was expected') as string },
    ]);
  });

  it('says that an input of one value cannot come in rows', () => {
    const [fault] = faultsOf(() =>
      parseRows([{ x: [1], rate: 2 }], takes({ x: [-1, 1], rate: [] })),
    );

    expect(fault).toMatchObject({ path: 'instances' });
    expect(fault?.message).toContain('send inputs instead');
  });

  it('refuses a ragged array, with the path of each fault (63)', () => {
    const faults = faultsOf(() =>
      parseRows(
        [
          [1, 2, 3],
          [1, 2],
          [1, 2, 3, 4],
        ],
        vector,
      ),
    );

    expect(faults.map(({ path }) => path)).toEqual(['instances[1]', 'instances[2]']);
    expect(faults[0]?.message).toBe(
      'is a list of 2, a list of 3 was expected (x: float32 [-1, 3])',
    );
  });

  it('refuses rows of different length where the length is open (63)', () => {
    const faults = faultsOf(() => parseRows([[1, 2], [1]], takes({ x: [-1, -1] })));

    expect(faults.map(({ path }) => path)).toEqual(['instances[1]']);
  });

  it.each([
    ['null', null],
    ['a boolean', true],
    ['a numeric string', '1'],
    ['an object', { a: 1 }],
    ['a list', [1]],
    ['an empty list', []],
  ])('refuses %s where a number belongs (64)', (_what, value) => {
    const image = [
      [1, 2],
      [3, value],
    ];

    const faults = faultsOf(() => parseRows([{ image, mask: [1, 1] }], pair));

    expect(faults.map(({ path }) => path)).toEqual(['instances[0].image[1][1]']);
  });

  it.each([{ b64: 'AACAPw==' }, { b64: '!' }, 'AACAPw==', { data: [0, 0, 128, 63] }])(
    'refuses %j: JSON carries numbers, never packed bytes (70)',
    (value) => {
      expect(faultsOf(() => parseRows([value], vector)).length).toBeGreaterThan(0);
    },
  );

  it('refuses an empty row, and no rows at all (64, 68)', () => {
    expect(faultsOf(() => parseRows([[]], vector))[0]?.path).toBe('instances[0]');
    expect(faultsOf(() => parseRows([], vector))[0]?.path).toBe('instances');
    expect(faultsOf(() => parseRows('1,2,3', vector))[0]?.path).toBe('instances');
    expect(faultsOf(() => parseRows(null, vector))[0]?.path).toBe('instances');
  });

  it('refuses more rows than one request may have (68)', () => {
    const row = [1, 2, 3];

    expect(parseRows(Array(MAX_ROWS).fill(row), vector).rows).toBe(MAX_ROWS);
    expect(faultsOf(() => parseRows(Array(MAX_ROWS + 1).fill(row), vector))).toHaveLength(1);
  });

  it('refuses what float32 cannot hold (65)', () => {
    const values = JSON.parse('[1e400, -1e400, 3.4028235677973366e38]') as number[];

    const faults = faultsOf(() => parseRows([values], vector));

    expect(faults.map(({ path }) => path)).toEqual([
      'instances[0][0]',
      'instances[0][1]',
      'instances[0][2]',
    ]);
    const largest = [3.4028234663852886e38, -3.4028235677973362e38, 1e-50];
    expect(plain(parseRows([largest], vector).inputs)['x']?.values).toEqual([
      3.4028234663852886e38, -3.4028234663852886e38, 0,
    ]);
  });

  it('takes NaN and infinities as strings for floats only (65)', () => {
    const odd = ['NaN', 'Infinity', '-Infinity'];

    expect(plain(parseRows([odd], vector).inputs)['x']?.values).toEqual(odd);
    expect(faultsOf(() => parseRows([odd], takes({ x: [-1, 3] }, 'int32')))).toHaveLength(3);
    expect(faultsOf(() => parseRows([['nan', '+Infinity', 'toString']], vector))).toHaveLength(3);
  });

  it.each([2 ** 31, -(2 ** 31) - 1, 0.5, 2 ** 53 + 2, 1e300])(
    'refuses the int32 %d (66)',
    (value) => {
      const signature = takes({ x: [-1, 1] }, 'int32');

      expect(faultsOf(() => parseRows([[value]], signature))[0]?.path).toBe('instances[0][0]');
      expect(
        plain(parseRows([[2147483647], [-2147483648]], signature).inputs)['x']?.values,
      ).toEqual([2147483647, -2147483648]);
    },
  );

  it('takes booleans as such or as 0 and 1, and nothing else', () => {
    const signature = takes({ x: [-1, 4] }, 'bool');

    expect(plain(parseRows([[true, false, 1, 0]], signature).inputs)['x']?.values).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(faultsOf(() => parseRows([['true', 2, null, -1]], signature))).toHaveLength(4);
  });

  it('keeps strings of any script and refuses what UTF-8 cannot carry (71)', () => {
    const signature = takes({ x: [-1, 2] }, 'string');

    expect(plain(parseRows([['日本', '']], signature).inputs)['x']?.values).toEqual(['日本', '']);
    const faults = faultsOf(() =>
      parseRows(
        [
          ['\ud800', 'a\0b'],
          ['x'.repeat(2 ** 21), 5],
        ],
        signature,
      ),
    );
    expect(faults.map(({ path }) => path)).toEqual([
      'instances[0][0]',
      'instances[0][1]',
      'instances[1][0]',
      'instances[1][1]',
    ]);
  });

  it('names unknown and missing inputs, and lists what the model takes (67)', () => {
    const failure = failureOf(() =>
      parseRows(
        [
          {
            image: [
              [1, 2],
              [3, 4],
            ],
            masc: [1, 2],
          },
        ],
        pair,
      ),
    );

    expect(failure.details).toMatchObject({
      faults: [
        { path: 'instances[0].masc', message: 'is no input of the model, which takes image, mask' },
        { path: 'instances[0].mask', message: 'is missing (mask: float32 [-1, 2])' },
      ],
      expected: pair.inputs,
    });
    expect(failure.message).toContain('instances[0].masc');
  });

  it('refuses an input that is given twice, and bare rows for two inputs (67)', () => {
    const twice = {
      image: [
        [1, 2],
        [3, 4],
      ],
      mask: [1, 2],
      'mask:0': [1, 2],
    };

    expect(faultsOf(() => parseRows([twice], pair))[0]?.path).toBe('instances[0]["mask:0"]');
    expect(faultsOf(() => parseRows([[1, 2]], pair))[0]?.path).toBe('instances[0]');
  });

  it('refuses a flat list where the model takes an image (67)', () => {
    const [fault] = faultsOf(() => parseRows([[1, 2, 3, 4]], takes({ image: [-1, 2, 2, 1] })));

    expect(fault).toEqual({
      path: 'instances[0]',
      message: 'is a list of 4, a list of 2 was expected (image: float32 [-1, 2, 2, 1])',
    });
  });

  it('refuses rows of mixed rank (69)', () => {
    const faults = faultsOf(() => parseRows([[1, 2, 3], 4, [[5, 6, 7]]], vector));

    expect(faults.map(({ path }) => path)).toEqual(['instances[1]', 'instances[2]']);
  });

  it.each(['constructor', 'toString', '$gt', 'a.b', '_bsontype', 'hasOwnProperty'])(
    'treats the key %s as any unknown name (73)',
    (key) => {
      const row = { x: [1, 2, 3], [key]: [1, 2, 3] };

      expect(faultsOf(() => parseRows([row], vector))).toEqual([
        {
          path: expect.stringContaining(key) as string,
          message: expect.stringContaining('no input') as string,
        },
      ]);
    },
  );

  it('shows twenty faults and counts the rest', () => {
    const failure = failureOf(() => parseRows(Array(100).fill([null, 2, '3']), vector));

    expect(failure.details['faults']).toHaveLength(20);
    expect(failure.details['faultCount']).toBe(200);
    expect(failure.message).toContain('and 199 more faults');
  });

  it('takes no memory for a shape that is only announced', () => {
    const rows = [Array(100_000).fill(0), ...(Array(MAX_ROWS - 1).fill([]) as unknown[])];
    const before = process.memoryUsage().arrayBuffers;

    expect(failureOf(() => parseRows(rows, takes({ x: [-1, -1] }))).details['faultCount']).toBe(
      MAX_ROWS - 1,
    );
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50e6);
  });

  it('answers any value with tensors or with faults', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.constantFrom(vector, pair, takes({ x: [-1] }, 'string')),
        (value, signature) => {
          for (const read of [parseRows, parseColumns]) {
            try {
              read(value, signature);
            } catch (error) {
              expect(error).toMatchObject({ code: 'inputs_mismatch' });
            }
          }
        },
      ),
    );
  });
});

describe('parseColumns', () => {
  it('takes the bare value of the only input, or an object', () => {
    for (const inputs of [[[1, 2, 3]], { x: [[1, 2, 3]] }, { 'x:0': [[1, 2, 3]] }]) {
      const parsed = parseColumns(inputs, vector);

      expect(parsed.rows).toBe(1);
      expect(plain(parsed.inputs)).toEqual({ x: { shape: [1, 3], values: [1, 2, 3] } });
    }
  });

  it('takes single values, and counts one row where there is no batch', () => {
    const signature = takes({ rate: [], x: [2, 2] });

    const parsed = parseColumns(
      {
        rate: 0.5,
        x: [
          [1, 2],
          [3, 4],
        ],
      },
      signature,
    );

    expect(plain(parsed.inputs)['rate']).toEqual({ shape: [], values: [0.5] });
    expect(parsed.rows).toBe(1);
  });

  it('refuses inputs that disagree about the number of rows (63)', () => {
    const inputs = {
      image: [
        [
          [1, 2],
          [3, 4],
        ],
      ],
      mask: [
        [1, 2],
        [3, 4],
      ],
    };

    expect(faultsOf(() => parseColumns(inputs, pair))).toEqual([
      { path: 'inputs.mask', message: 'has 2 rows, but image has 1' },
    ]);
  });

  it('says where in which input something is wrong (63, 64, 67)', () => {
    const inputs = { image: [[[1, 2], [3]]], mask: [[1, null]], extra: 1 };

    expect(faultsOf(() => parseColumns(inputs, pair)).map(({ path }) => path)).toEqual([
      'inputs.extra',
      'inputs.image[0][1]',
      'inputs.mask[0][1]',
    ]);
  });

  it('refuses a batch of none and one that is too large (68)', () => {
    expect(faultsOf(() => parseColumns([], vector))[0]?.path).toBe('inputs');
    const many = Array(MAX_ROWS + 1).fill([1, 2, 3]);
    expect(faultsOf(() => parseColumns(many, vector))[0]?.message).toContain('at most');
  });
});
