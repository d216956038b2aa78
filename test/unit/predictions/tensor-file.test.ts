import fc from 'fast-check';

import {
  type DType,
  DTYPE_BYTES,
  elementCount,
  type NamedTensors,
} from '../../../src/common/tensor';
import { InputCorruptError } from '../../../src/predictions/predictions.errors';
import { decodeTensorFile, encodeTensorFile } from '../../../src/predictions/tensor-file';

const tensors = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(DTYPE_BYTES) as DType[])),
    shape: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }),
  })
  .map(({ dtype, shape }) => {
    const width = DTYPE_BYTES[dtype] || 4;
    const data = Uint8Array.from({ length: elementCount(shape) * width }, (_, at) => at % 2);
    return { dtype, shape, data };
  });
const named = fc.dictionary(fc.string({ minLength: 1 }), tensors, { maxKeys: 5 });

function comparable(given: NamedTensors): unknown {
  return Object.entries(given)
    .map(([name, { dtype, shape, data }]) => [
      name,
      dtype,
      shape,
      Buffer.from(data).toString('hex'),
    ])
    .sort();
}

describe('encodeTensorFile', () => {
  it('is undone by decodeTensorFile', () => {
    fc.assert(
      fc.property(named, (given) => {
        expect(comparable(decodeTensorFile(encodeTensorFile(given)))).toEqual(comparable(given));
      }),
    );
  });

  it('gives equal bytes for equal tensors in any order', () => {
    const a = { dtype: 'int32', shape: [1], data: Uint8Array.of(1, 0, 0, 0) } as const;
    const b = { dtype: 'bool', shape: [], data: Uint8Array.of(1) } as const;

    expect(encodeTensorFile({ a, b, '1': b })).toEqual(encodeTensorFile({ '1': b, b, a }));
    expect(encodeTensorFile({ a })).not.toEqual(encodeTensorFile({ b: a }));
  });

  it('lays out the file as it always did, so that digests stay what they are', () => {
    const file = encodeTensorFile({
      x: { dtype: 'float32', shape: [1, 2], data: new Uint8Array(Float32Array.of(1, -2).buffer) },
    });

    expect(file.toString('latin1')).toBe(
      '\x38\0\0\0\0\0\0\0{"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}' +
        '\0\0\x80\x3f\0\0\0\xc0',
    );
  });

  it.each([
    ['cut short', (file: Buffer) => file.subarray(0, 20)],
    ['empty', () => Buffer.alloc(0)],
    [
      'of an unknown type',
      (file: Buffer) => Buffer.from(file.toString('latin1').replace('F32', 'F99'), 'latin1'),
    ],
  ])('refuses to decode a file that is %s', (_how, damage) => {
    const file = encodeTensorFile({
      x: { dtype: 'float32', shape: [1], data: new Uint8Array(4) },
    });

    expect(() => decodeTensorFile(damage(file))).toThrow(InputCorruptError);
  });
});
