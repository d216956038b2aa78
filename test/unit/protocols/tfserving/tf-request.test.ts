import fc from 'fast-check';

import { type Signature } from '../../../../src/common/tensor';
import { readTfRequest, type TfRequest } from '../../../../src/protocols/tfserving/tf-request';
import { UnknownSignatureError } from '../../../../src/protocols/tfserving/tfserving.errors';
import { takes } from '../../../support/signatures';

const read = (body: string, signature: Signature): TfRequest =>
  readTfRequest(Buffer.from(body), { method: 'predict', signature });

const float = takes({ x: [-1, 3] });

/** One of the values that are sent, as text: whole, with a fraction, with many digits. */
const numberText = fc.oneof(
  fc.integer().map(String),
  fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.double({ min: -1e30, max: 1e30, noNaN: true }).map(String),
);

describe('a body of TensorFlow Serving', () => {
  it('means the same whether the kernel reads it or not', () => {
    const rows = fc.array(fc.tuple(numberText, numberText, numberText), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(rows, fc.constantFrom('instances', 'inputs'), (texts, key) => {
        const body = `{"${key}":[${texts.map((row) => `[${row.join()}]`).join()}]}`;
        // What is ignored here is nothing that the kernel takes.
        expect(read(body, float)).toEqual(read(`${body} and more`, float));
      }),
    );
  });

  it.each([
    '{"instances":[[1,2,3]],"signature_name":"serving_default"}',
    '{"instances":[[1,2,3]],"id":5,"tags":"what is an option elsewhere"}',
  ])('is read from the numbers on: %s', (body) => {
    expect(read(body, float)).toEqual(read('{"instances":[[1,2,3]]}', float));
  });

  it.each(['{"instances":[[1,2,3]],"signature_name":"s"}', '{"signature_name":"s"}'])(
    'is refused for a signature that the version does not have: %s',
    (body) => {
      expect(() => read(body, float)).toThrow(UnknownSignatureError);
    },
  );

  it('holds an integer beyond a double exactly, for every int64', () => {
    const signature = takes({ x: [-1, 1] }, 'int64');
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        const { inputs } = read(`{"instances":[[${value}]]}`, signature);
        expect(new BigInt64Array(inputs['x']!.data.slice().buffer)).toEqual(
          BigInt64Array.of(value),
        );
      }),
    );
  });

  it('takes a number without a row around it where a row is one', () => {
    expect(read('{"instances":[1,2.5]}', takes({ x: [-1] }))).toMatchObject({
      rows: 2,
      inputs: { x: { shape: [2] } },
    });
    expect(read('{"inputs":2.5}', takes({ x: [] }))).toMatchObject({
      rows: 1,
      inputs: { x: { shape: [] } },
    });
    expect(() => read('{"instances":[2.5]}', takes({ x: [] }))).toThrow(/send inputs instead/);
  });
});
