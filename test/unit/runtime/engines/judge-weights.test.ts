import { judgeWeights } from '../../../../src/runtime/engines/judge-weights';
import { type WeightBytes } from '../../../../src/runtime/engines/weight-bytes';

type Spec = WeightBytes['spec'];

function floats(name: string, ...values: number[]): WeightBytes {
  const spec: Spec = { name, shape: [values.length], dtype: 'float32' };
  return { spec, bytes: Float32Array.from(values).buffer };
}

function halfs(name: string, ...bits: number[]): WeightBytes {
  const spec: Spec = {
    name,
    shape: [bits.length],
    dtype: 'float32',
    quantization: { dtype: 'float16' },
  };
  return { spec, bytes: Uint16Array.from(bits).buffer };
}

async function judge(...weights: WeightBytes[]): Promise<string[]> {
  const source = async function* (): AsyncGenerator<WeightBytes> {
    for (const weight of weights) yield await Promise.resolve(weight);
  };
  const warnings: string[] = [];
  const passed: WeightBytes[] = [];
  for await (const weight of judgeWeights(source(), warnings)) passed.push(weight);
  expect(passed).toEqual(weights);
  return warnings;
}

describe('judgeWeights', () => {
  it.each([
    ['a float', floats('a', 1, NaN), 1],
    ['a half float', halfs('a', 0x3c00, 0x3c00, 0xfe01), 2],
  ])('refuses NaN in %s, naming the weight and the place (62)', async (_what, weight, index) => {
    await expect(judge(floats('fine', 1), weight)).rejects.toMatchObject({
      code: 'model_unloadable',
      details: { weight: 'a', index },
    });
  });

  it('warns of infinities, which masks are made of (62)', async () => {
    expect(await judge(floats('mask', 0, -Infinity), halfs('other', 0x7c00))).toEqual([
      'Weights hold infinities: mask, other',
    ]);
  });

  it('warns of a model of zeros, and of no other (62)', async () => {
    expect(await judge(floats('a', 0, -0), halfs('b', 0x8000))).toEqual([
      'Every weight is zero: was the model trained and saved?',
    ]);
    expect(await judge(floats('a', 0), floats('b', 1e-45))).toEqual([]);
    expect(await judge()).toEqual([]);
  });

  it('takes the largest numbers and the smallest as they are', async () => {
    expect(await judge(floats('a', 3.4e38, -3.4e38, 1e-45), halfs('b', 0x7bff, 0x0001))).toEqual(
      [],
    );
  });
});
