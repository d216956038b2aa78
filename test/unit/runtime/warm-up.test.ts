import { type TensorSpec } from '../../../src/common/tensor';
import { InferenceFailedError, ModelUnloadableError } from '../../../src/runtime/runtime.errors';
import { proveModel, type Run, warmUp } from '../../../src/runtime/warm-up';
import { floatTensor } from '../../support/golden';

const image: TensorSpec = { name: 'x', dtype: 'float32', shape: [-1, 4] };

/** A model in a line: the shape of its one output from the shape of its input `x`. */
function model(shapeOf: (input: readonly number[]) => readonly number[]): Run {
  return async (inputs) => {
    const shape = shapeOf(inputs['x']!.shape);
    const size = shape.reduce((product, dimension) => product * dimension, 1);
    const y = floatTensor(shape, new Array<number>(size).fill(0.5));
    return await Promise.resolve({ outputs: { y }, inferMs: 1 });
  };
}

describe('proveModel', () => {
  it('finds the batch dimension of the outputs from two runs', async () => {
    const { signature, warnings, msPerBatch } = await proveModel(
      [image],
      model(([batch]) => [batch!, 10]),
    );

    expect(signature.inputs).toEqual([image]);
    expect(signature.outputs).toEqual([{ name: 'y', dtype: 'float32', shape: [-1, 10] }]);
    expect(warnings).toEqual([]);
    expect(msPerBatch).toEqual({ '1': 1, '32': 1 });
  });

  it('finds output dimensions that follow an open size of the input', async () => {
    const { signature } = await proveModel(
      [{ ...image, shape: [-1, -1] }],
      model(([batch, size]) => [batch!, size! / 4, 3]),
    );

    expect(signature.outputs[0]?.shape).toEqual([-1, -1, 3]);
  });

  it('fixes a batch that is declared open but takes one row only, and says so', async () => {
    const { signature, warnings } = await proveModel(
      [image],
      model(([batch]) => {
        if (batch !== 1) throw new InferenceFailedError('shapes do not match');
        return [1, 3];
      }),
    );

    expect(signature.inputs[0]?.shape).toEqual([1, 4]);
    expect(signature.outputs[0]?.shape).toEqual([1, 3]);
    expect(warnings).toEqual([expect.stringContaining('one row at a time')]);
  });

  it('warns when no output has a row per row', async () => {
    const { warnings } = await proveModel(
      [image],
      model(() => [7]),
    );

    expect(warnings).toEqual(['No output has a row for each row of the input']);
  });

  it('runs a model of fixed shape exactly as it is', async () => {
    const seen: string[] = [];
    const { signature, msPerBatch } = await proveModel(
      [{ ...image, shape: [2, 4] }],
      model((shape) => {
        seen.push(shape.join());
        return [2, 1];
      }),
    );

    expect(new Set(seen)).toEqual(new Set(['2,4']));
    expect(signature.outputs[0]?.shape).toEqual([2, 1]);
    expect(Object.keys(msPerBatch)).toEqual(['1']);
  });
});

describe('warmUp', () => {
  it('tries sizes for open dimensions until one is legal', async () => {
    const { size } = await warmUp(
      [{ ...image, shape: [-1, -1] }],
      model(([batch, size]) => {
        if (size! < 100) throw new InferenceFailedError('too small');
        return [batch!, 1];
      }),
    );

    expect(size).toBe(128);
  });

  it('says what the model said when no size works (53)', async () => {
    const attempt = warmUp(
      [image],
      model(() => {
        throw new InferenceFailedError('The model cannot compute this: no such tensor');
      }),
    );

    await expect(attempt).rejects.toThrow(ModelUnloadableError);
    await expect(attempt).rejects.toThrow('no such tensor');
  });

  it('does not take a missing op for a wrong size (53)', async () => {
    let calls = 0;
    const attempt = warmUp(
      [{ ...image, shape: [-1, -1] }],
      model(() => {
        calls++;
        throw new ModelUnloadableError('The wasm engine has no Einsum');
      }),
    );

    await expect(attempt).rejects.toThrow('no Einsum');
    expect(calls).toBe(1);
  });

  it('refuses a model that computes nothing', async () => {
    const attempt = warmUp([image], async () => await Promise.resolve({ outputs: {}, inferMs: 0 }));

    await expect(attempt).rejects.toThrow('computes no outputs');
  });
});
