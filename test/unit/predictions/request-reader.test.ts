import { StoreError } from '../../../src/common/errors';
import { type Signature } from '../../../src/common/tensor';
import { type PredictRequest } from '../../../src/predictions/predict-request';
import { tensorInput } from '../../../src/predictions/prediction-input';
import { readRequest } from '../../../src/predictions/read-request';
import { INLINE_BODY_BYTES } from '../../../src/predictions/body-reader';
import { RequestReader } from '../../../src/predictions/request-reader.service';
import { flatJson } from '../../../src/predictions/tensor-json';
import { takes } from '../../support/signatures';

const MIB = 1024 * 1024;
const reader = new RequestReader({ maxBodyBytes: 32 * MIB });

afterAll(async () => {
  await reader.onApplicationShutdown();
});

const vector = takes({ x: [-1, 3] });
const whole = takes({ x: [-1, 2] }, 'int32');
const flags = takes({ x: [-1, 2] }, 'bool');
const texts = takes({ x: [-1, 1] }, 'string');
/** Names that no sorting leaves where they are, and that look like numbers. */
const several: Signature = {
  inputs: [
    { name: 'z', dtype: 'float32', shape: [-1, 2] },
    { name: 'flag', dtype: 'bool', shape: [-1, 1] },
    { name: '7', dtype: 'int32', shape: [-1, 1] },
    { name: 'a/b', dtype: 'string', shape: [-1, 1] },
  ],
  outputs: [],
};

/** The same JSON with spaces behind it, in memory of its own as bodies come. */
function padded(body: Buffer): Buffer {
  const large = Buffer.allocUnsafeSlow(INLINE_BODY_BYTES + 1).fill(' ');
  large.set(body);
  return large;
}

/** What a request says, tensors as lists. */
function plain({ inputs, input, ...others }: PredictRequest): unknown {
  const tensors = Object.entries(inputs).map(([name, tensor]) => [
    name,
    tensor.dtype,
    tensor.shape,
    flatJson(tensor),
  ]);
  return { ...others, tensors, input: input ?? tensorInput(inputs) };
}

async function outcomeOf(read: () => PredictRequest | Promise<PredictRequest>): Promise<unknown> {
  try {
    return plain(await read());
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const { kind, code, message, details } = error;
    return { kind, code, message, details };
  }
}

const json = (value: unknown): string => JSON.stringify(value);
const rowsOf = (...instances: unknown[]): string => json({ instances });

const GOOD: [string, Signature, string][] = [
  ['rows of numbers', vector, rowsOf([1, 2, 3], [0.1, -0.5, 1e-40])],
  ['numbers that JSON cannot write', vector, rowsOf(['NaN', 'Infinity', '-Infinity'])],
  ['whole numbers', whole, rowsOf([-2147483648, 2147483647])],
  ['booleans', flags, rowsOf([true, 0], [1, false])],
  ['texts', texts, rowsOf(['ä\u0001'], ['𝒳'])],
  ['columns', vector, json({ inputs: { 'x:0': [[1, 2, 3]] } })],
  [
    'several inputs, with an id and tags',
    several,
    json({
      tags: { a: 'b' },
      id: 'mine',
      instances: [
        { flag: [true], '7': [5], z: [1, 2], 'a/b': ['text'] },
        { z: [3, 4], 'a/b': [''], flag: [false], '7': [-5] },
      ],
    }),
  ],
  ['a row without numbers that take room', vector, rowsOf([0, 0, 0])],
];

const BAD: [string, Signature, string | Buffer][] = [
  ['ragged rows (63)', vector, rowsOf([1, 2, 3], [1, 2])],
  ['null (64)', vector, rowsOf([1, null, 3])],
  ['a boolean (64)', vector, rowsOf([1, true, 3])],
  ['a number as text (64)', vector, rowsOf([1, '2', 3])],
  ['an object (64)', vector, rowsOf([1, {}, 3])],
  ['no rows (64, 68)', vector, rowsOf()],
  ['an empty row (64)', vector, rowsOf([])],
  ['the token NaN (65)', vector, '{"instances":[[1,NaN,3]]}'],
  ['a number beyond double (65)', vector, '{"instances":[[1,1e400,3]]}'],
  ['a number beyond float32 (65)', vector, rowsOf([1, 3.5e38, 3])],
  ['a whole number out of range (66)', whole, rowsOf([2147483648, 0])],
  ['a fraction (66)', whole, rowsOf([0.5, 0])],
  ['more digits than a double has (66)', whole, '{"instances":[[9007199254740993,0]]}'],
  ['another rank (67)', vector, rowsOf([[1, 2, 3]])],
  ['another size (67)', vector, rowsOf([1, 2, 3, 4])],
  ['an unknown input (67)', vector, json({ inputs: { y: [[1, 2, 3]] } })],
  ['a missing input (67)', several, rowsOf({ z: [1, 2] })],
  ['another type (67)', flags, rowsOf([2, 'true'])],
  ['rows of several ranks (69)', vector, rowsOf([1, 2, 3], 1, [[1]])],
  ['half of a surrogate pair (71)', texts, '{"instances":[["\\ud800"]]}'],
  ['NUL in a text (71)', texts, rowsOf(['a\0'])],
  ['nesting without end (72)', vector, `{"instances":${'['.repeat(9999)}`],
  ['__proto__ (73, 97)', vector, '{"__proto__":{},"instances":[[1,2,3]]}'],
  ['constructor (73)', vector, '{"constructor":1,"instances":[[1,2,3]]}'],
  ['$gt (73)', vector, json({ instances: [{ $gt: 1 }] })],
  ['_bsontype as a tag (73)', vector, json({ instances: [[1, 2, 3]], tags: { $a: 'x' } })],
  ['a list as the body (98)', vector, '[[1,2,3]]'],
  ['null as the body (98)', vector, 'null'],
  ['an unknown key (99)', vector, json({ instances: [[1, 2, 3]], tenant: 1 })],
  ['both forms', vector, json({ instances: [[1, 2, 3]], inputs: [[1, 2, 3]] })],
  ['an id that is none (89)', vector, json({ instances: [[1, 2, 3]], id: '' })],
  ['bytes that are no UTF-8 (100)', vector, Buffer.from('{"instances":[["\xff"]]}', 'latin1')],
  ['a byte order mark (100)', vector, '\ufeff{"instances":[[1,2,3]]}'],
  ['a key twice (100)', vector, '{"id":"a","id":"b"}'],
  ['something behind the value (100)', vector, '{"instances":[[1,2,3]]}}'],
];

describe('RequestReader', () => {
  it.each(GOOD)('reads %s the same in small and in large bodies', async (_, signature, text) => {
    const large = padded(Buffer.from(text));

    const [small, fromThread] = [
      await outcomeOf(() => reader.read(Buffer.from(text), signature)),
      await outcomeOf(() => reader.read(large, signature)),
    ];

    expect(small).toHaveProperty('tensors');
    expect(fromThread).toEqual(small);
    // The thread has it: it was neither parsed nor copied here.
    expect(large.byteLength).toBe(0);
  });

  it.each(BAD)('refuses %s the same in small and in large bodies', async (_, signature, text) => {
    const large = padded(Buffer.from(text));

    const [small, fromThread] = [
      await outcomeOf(() => reader.read(Buffer.from(text), signature)),
      await outcomeOf(() => reader.read(large, signature)),
    ];

    expect(small).toHaveProperty('code');
    expect(small).toMatchObject({
      kind: expect.stringMatching(/^(bad_syntax|invalid)$/) as string,
    });
    expect(fromThread).toEqual(small);
    expect(large.byteLength).toBe(0);
  });

  it.each<[string, Signature, () => string]>([
    [
      'many rows',
      vector,
      () =>
        json({
          instances: Array(4096).fill([
            -0.12345678901234568, 1.2345678901234567e-30, -1.2345678901234567e-9,
          ]),
        }),
    ],
    [
      'more rows than it may have (68)',
      whole,
      () => json({ instances: Array(60_000).fill([1, 2]) }),
    ],
    [
      'a fault far behind (63)',
      vector,
      () => json({ inputs: [...Array(40_000).fill([1, 2, 3]), [1]] }),
    ],
    [
      'more faults than are shown',
      vector,
      () => json({ instances: Array(4000).fill([null, '', [[]] + ' '.repeat(60)]) }),
    ],
    [
      'a text that ends too early (100)',
      vector,
      () => `{"instances":[${'[1,2,3],'.repeat(40_000)}`,
    ],
    ['a text longer than it may be (71)', texts, () => rowsOf(['x'.repeat(MIB + 1)])],
    ['nesting of half a million levels (72)', vector, () => '['.repeat(500_000)],
    [
      'more keys than any request needs (73)',
      vector,
      () =>
        json(Object.fromEntries(Array.from({ length: 30_000 }, (_, key) => [`key${key}`, key]))),
    ],
  ])('says of %s what the same code says here', async (_, signature, make) => {
    const body = Buffer.from(make());
    expect(body.length).toBeGreaterThan(INLINE_BODY_BYTES);
    const here = await outcomeOf(() => readRequest(body, signature));

    const there = await outcomeOf(() => reader.read(Buffer.concat([body]), signature));

    expect(there).toEqual(here);
  });

  it('reads a body of exactly the limit here', async () => {
    const body = padded(Buffer.from(rowsOf([1, 2, 3]))).subarray(0, INLINE_BODY_BYTES);

    await reader.read(body, vector);

    expect(body.byteLength).toBe(INLINE_BODY_BYTES);
  });

  it('fails only the body at which a thread dies, with 503 (133)', async () => {
    const good = () => reader.read(padded(Buffer.from(rowsOf([1, 2, 3]))), vector);
    const deadly = null as unknown as Signature;

    const outcomes = await Promise.allSettled([
      good(),
      reader.read(padded(Buffer.from(rowsOf([1, 2, 3]))), deadly),
      good(),
      good(),
    ]);

    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
    expect(outcomes[1]).toMatchObject({
      reason: { kind: 'unavailable', code: 'request_reader_lost' },
    });
  });

  it('refuses with 503 what would wait too long, and takes it when there is room (108)', async () => {
    const large = (): Buffer => {
      const body = Buffer.allocUnsafeSlow(50 * MIB).fill(' ');
      body.set(Buffer.from('[]'));
      return body;
    };

    const outcomes = await Promise.all(
      [0, 1, 2].map(() => outcomeOf(() => reader.read(large(), vector))),
    );

    expect(outcomes[0]).toMatchObject({ kind: 'bad_syntax' });
    expect(outcomes[1]).toMatchObject({ kind: 'bad_syntax' });
    expect(outcomes[2]).toMatchObject({
      kind: 'overloaded',
      details: { retryAfterSeconds: 1 },
    });
    await expect(reader.read(large(), vector)).rejects.toMatchObject({ kind: 'bad_syntax' });
  });

  it('fails what comes after its end', async () => {
    const other = new RequestReader({ maxBodyBytes: MIB });
    await other.onApplicationShutdown();

    await expect(other.read(padded(Buffer.from('[]')), vector)).rejects.toMatchObject({
      kind: 'unavailable',
    });
  });
});
