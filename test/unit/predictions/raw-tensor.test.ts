import { type TensorSpec } from '../../../src/common/tensor';
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
});
