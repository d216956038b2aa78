import { type TensorSpec } from '../../../src/common/tensor';
import { digestInTurns, digestOf, tensorInput } from '../../../src/predictions/prediction-input';
import { HEAD_ROOM_BYTES } from '../../../src/predictions/prediction-input';
import { readRawTensor } from '../../../src/predictions/raw-tensor';

const image: TensorSpec = { name: 'x', dtype: 'float32', shape: [-1, 2, 3] };
const read = (bytes: number, specs: readonly TensorSpec[] = [image], input?: string) =>
  readRawTensor(Buffer.alloc(bytes), { input }, { inputs: specs, outputs: [] });

describe('readRawTensor', () => {
  it('takes the body itself as the tensor, and its rows from its length', () => {
    const body = Buffer.alloc(48);

    const { inputs, rows, form } = readRawTensor(
      body,
      { input: 'x' },
      {
        inputs: [image],
        outputs: [],
      },
    );

    expect(inputs['x']?.shape).toEqual([2, 2, 3]);
    expect(inputs['x']?.data).toBe(body);
    expect([rows, form]).toEqual([2, 'columns']);
  });

  it('takes an input without a batch dimension as one row', () => {
    expect(read(24, [{ ...image, shape: [2, 3] }])).toMatchObject({ rows: 1 });
  });

  it.each<[string, number, readonly TensorSpec[], string | undefined, RegExp]>([
    ['a length that is no number of rows', 25, [image], undefined, /multiple of 24/],
    ['an empty body', 0, [image], undefined, /multiple of 24/],
    ['another length than the fixed one', 48, [{ ...image, shape: [2, 3] }], undefined, /have 24/],
    ['more rows than are taken at once', 24 * 4097, [image], undefined, /at most 4096/],
    ['an unknown name', 24, [image], 'y', /takes x/],
    ['one of several inputs', 24, [image, { ...image, name: 'y' }], 'x', /takes several/],
    ['texts', 24, [{ ...image, dtype: 'string' }], undefined, /send JSON/],
    ['sizes that the length does not tell', 24, [{ ...image, shape: [-1, -1] }], 'x', /send JSON/],
  ])('refuses %s (70)', (_, bytes, specs, input, message) => {
    expect(() => read(bytes, specs, input)).toThrow(message);
  });

  it('refuses bytes that are no booleans (70)', () => {
    const specs: TensorSpec[] = [{ name: 'x', dtype: 'bool', shape: [-1] }];

    expect(() => readRawTensor(Buffer.from([0, 1, 2]), {}, { inputs: specs, outputs: [] })).toThrow(
      /0 and 1/,
    );
  });

  it('takes booleans wherever they lie, and refuses one that is none (70)', () => {
    const specs: TensorSpec[] = [{ name: 'x', dtype: 'bool', shape: [-1, 1] }];
    const read = (body: Buffer) => readRawTensor(body, {}, { inputs: specs, outputs: [] });
    const memory = Buffer.alloc(64);

    for (let start = 0; start < 5; start++) {
      for (const length of [1, 2, 3, 4, 5, 9, 16]) {
        const body = memory.subarray(start, start + length);
        expect(read(body.fill(1)).rows).toBe(length);
        for (let at = 0; at < length; at++) {
          body.fill(1)[at] = 2;
          expect(() => read(body)).toThrow(/0 and 1/);
        }
      }
    }
  });

  it('lays a large body out as it is stored, in the memory that it has', async () => {
    const bytes = 24 * 4096 * 4;
    const whole = Buffer.allocUnsafeSlow(HEAD_ROOM_BYTES + bytes).fill(7);
    const body = whole.subarray(HEAD_ROOM_BYTES);
    const wide: TensorSpec = { name: 'x', dtype: 'float32', shape: [-1, 8, 3] };

    const { inputs, makeInput } = readRawTensor(body, {}, { inputs: [wide], outputs: [] });
    const input = await makeInput?.();

    expect(input).toEqual(tensorInput(inputs));
    expect(input?.content.buffer).toBe(whole.buffer);
    expect(body.every((byte) => byte === 7)).toBe(true);
  });
});

describe('digestInTurns', () => {
  it.each([0, 1, 512 * 1024, 512 * 1024 + 1, 3 * 1024 * 1024 + 5])(
    'is the digest of %d bytes',
    async (length) => {
      const content = Buffer.alloc(length, 3);

      expect(await digestInTurns(content)).toBe(digestOf(content));
    },
  );

  it('lets others have their turn', async () => {
    let turns = 0;
    const counting = setImmediate(function count() {
      turns++;
      next = setImmediate(count);
    });
    let next = counting;

    await digestInTurns(Buffer.alloc(8 * 1024 * 1024));
    clearImmediate(next);

    expect(turns).toBeGreaterThanOrEqual(10);
  });
});
