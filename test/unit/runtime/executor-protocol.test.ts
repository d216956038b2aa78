import fc from 'fast-check';

import { ArtifactCorruptError } from '../../../src/artifacts/artifact.errors';
import { type NamedTensors } from '../../../src/common/tensor';
import {
  decodeTensors,
  encodeTensors,
  fromWireError,
  toWireError,
} from '../../../src/runtime/executor-protocol';
import { ModelUnloadableError } from '../../../src/runtime/runtime.errors';

describe('encodeTensors', () => {
  it('is undone by decodeTensors, each tensor at a place where typed arrays may start', () => {
    const tensors = fc.dictionary(
      fc.string({ minLength: 1 }).filter((name) => name !== '__proto__'),
      fc.uint8Array({ maxLength: 40 }).map((data) => ({
        dtype: 'bool' as const,
        shape: [data.length],
        data,
      })),
    );
    fc.assert(
      fc.property(tensors, (given: NamedTensors) => {
        const { headers, payload } = encodeTensors(given);

        const decoded = decodeTensors(headers, Uint8Array.from(Buffer.concat(payload)));

        expect(decoded).toEqual({ ...given });
        for (const { data } of Object.values(decoded)) expect(data.byteOffset % 8).toBe(0);
      }),
    );
  });
});

describe('fromWireError', () => {
  it.each([
    new ModelUnloadableError('The wasm engine has no Einsum', { missing: 'Einsum' }),
    new ArtifactCorruptError('Stored bytes differ from their digest', { fileId: 'f' }),
  ])('gives back the class of $name', (error) => {
    const revived = fromWireError(toWireError(error));

    expect(revived).toBeInstanceOf(error.constructor);
    const { kind, code, message, details } = error;
    expect(revived).toMatchObject({ kind, code, message, details });
  });

  it('keeps kind and code of a failure that has no class here', () => {
    const revived = fromWireError({
      kind: 'unavailable',
      code: 'database_unavailable',
      message: 'The database does not answer',
      details: { retryAfterSeconds: 1 },
    });

    expect(revived).toMatchObject({
      kind: 'unavailable',
      code: 'database_unavailable',
      details: { retryAfterSeconds: 1 },
    });
  });

  it('reports a defect inside an executor without its stack', () => {
    const wire = toWireError(new TypeError('x is not a function'));

    expect(wire).toEqual({
      kind: 'unavailable',
      code: 'executor_failed',
      message: 'x is not a function',
      details: {},
    });
  });
});
