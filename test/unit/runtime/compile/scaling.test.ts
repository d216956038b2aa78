import { elementCount } from '../../../../src/common/tensor';
import { floatTensor } from '../../../support/golden';
import { GraphTrial } from '../../../support/graph-trial';
import { aGraph, type GraphNode, placeholder, type Weight } from '../../../support/tiny-graphs';

/** Numbers between -1 and 1 that look like weights. */
function numbers(count: number, turn = 0): number[] {
  return Array.from({ length: count }, (_, index) => Math.sin(index * 1.7 + turn));
}

function weight(name: string, ...shape: number[]): Weight {
  return { name, shape, value: numbers(elementCount(shape), name.length) };
}

function channels(name: string, ...value: number[]): Weight {
  return { name, shape: [value.length], value };
}

function node(name: string, op: string, ...input: string[]): GraphNode {
  return { name, op, input, attr: { T: { type: 'DT_FLOAT' } } };
}

function conv(name: string, padding: 'SAME' | 'VALID', ...input: string[]): GraphNode {
  const text = (value: string): { s: string } => ({ s: Buffer.from(value).toString('base64') });
  const ones = { list: { i: ['1', '1', '1', '1'] } };
  const attr = {
    padding: text(padding),
    data_format: text('NHWC'),
    strides: ones,
    dilations: ones,
  };
  return { name, op: 'Conv2D', input, attr };
}

describe('scaled channels', () => {
  let trial: GraphTrial;
  beforeAll(async () => {
    trial = await GraphTrial.start();
  });
  afterAll(async () => {
    await trial.stop();
  });

  /** The compiled form as text, and where it answers otherwise than TensorFlow.js. */
  async function tried(
    shape: number[],
    nodes: GraphNode[],
    weights: Weight[],
  ): Promise<{ onnx: string; found: readonly string[] }> {
    const files = aGraph([placeholder('x', 'DT_FLOAT', [-1, ...shape]), ...nodes], weights);
    const feeds = [1, 3].map((batch) => {
      const sizes = [batch, ...shape];
      return { x: floatTensor(sizes, numbers(elementCount(sizes), batch)) };
    });
    const { onnx, found } = await trial.compare(files, feeds, 2e-6);
    return { onnx: Buffer.from(onnx.onnx).toString('latin1'), found };
  }

  const mean = channels('mean', 0.5, -4, 3, 0);
  const deviation = channels('deviation', 2, 0.5, 0.25, 1);
  const kernel = weight('kernel', 4, 3);

  it('go into the product behind them', async () => {
    const { onnx, found } = await tried(
      [4],
      [
        node('centred', 'Sub', 'x', 'mean'),
        node('scaled', 'RealDiv', 'centred', 'deviation'),
        node('product', 'MatMul', 'scaled', 'kernel'),
        node('y', 'BiasAdd', 'product', 'bias'),
      ],
      [mean, deviation, kernel, channels('bias', 1, 2, 3)],
    );

    expect(found).toEqual([]);
    expect(onnx).not.toContain('Sub');
    expect(onnx).not.toContain('Div');
  });

  it('stay where the means lie many deviations away', async () => {
    const { onnx, found } = await tried(
      [4],
      [
        node('centred', 'Sub', 'x', 'mean'),
        node('scaled', 'RealDiv', 'centred', 'deviation'),
        node('y', 'MatMul', 'scaled', 'kernel'),
      ],
      [channels('mean', 0.5, -4, 3, 100), deviation, kernel],
    );

    expect(found).toEqual([]);
    expect(onnx).toContain('Sub');
    expect(onnx).toContain('Div');
  });

  it('stay for others who use them', async () => {
    const { onnx, found } = await tried(
      [4],
      [
        node('scaled', 'Mul', 'deviation', 'x'),
        node('product', 'MatMul', 'scaled', 'square'),
        node('y', 'AddV2', 'product', 'scaled'),
      ],
      [deviation, weight('square', 4, 4)],
    );

    expect(found).toEqual([]);
    expect(onnx).toContain('Mul');
  });

  it('of rows that are joined and of images that are flattened go into the product as well', async () => {
    const { onnx, found } = await tried(
      [2, 4],
      [
        node('right', 'Relu', 'x'),
        node('scaled', 'Mul', 'right', 'deviation'),
        node('shifted', 'AddV2', 'scaled', 'mean'),
        node('rows', 'Reshape', 'shifted', 'sizes'),
        node('plain', 'Reshape', 'x', 'sizes'),
        { ...node('joined', 'ConcatV2', 'plain', 'rows', 'axis') },
        node('y', 'MatMul', 'joined', 'wide'),
      ],
      [
        ...[mean, deviation, weight('wide', 16, 3)],
        { name: 'sizes', value: [-1, 8], dtype: 'int32' },
        { name: 'axis', value: 1, dtype: 'int32' },
      ],
    );

    expect(found).toEqual([]);
    expect(onnx).not.toContain('Mul');
    expect(onnx).not.toContain('Add');
  });

  const image = [5, 4, 4];
  const spatial = weight('spatial', 3, 3, 4, 2);

  it('go into a convolution that has nothing beside its input', async () => {
    const { onnx, found } = await tried(
      image,
      [
        node('scaled', 'Mul', 'x', 'deviation'),
        node('shifted', 'AddV2', 'scaled', 'mean'),
        conv('y', 'VALID', 'shifted', 'spatial'),
      ],
      [mean, deviation, spatial],
    );

    expect(found).toEqual([]);
    expect(onnx).not.toContain('Mul');
    expect(onnx).not.toContain('Add');
  });

  it('go into a convolution with zeros beside its input as long as nothing is added', async () => {
    const { onnx, found } = await tried(
      image,
      [
        node('scaled', 'RealDiv', 'x', 'deviation'),
        conv('one', 'SAME', 'scaled', 'spatial'),
        node('shifted', 'Sub', 'scaled', 'mean'),
        conv('two', 'SAME', 'shifted', 'spatial'),
        node('y', 'AddV2', 'one', 'two'),
      ],
      [mean, deviation, spatial],
    );

    expect(found).toEqual([]);
    // For the second; the first has it inside.
    expect(onnx.split('Div').length - 1).toBe(1);
    expect(onnx).toContain('Sub');
  });

  it('are one normalisation between two convolutions', async () => {
    const { onnx, found } = await tried(
      image,
      [
        conv('one', 'SAME', 'x', 'deep'),
        node('right', 'Relu', 'one'),
        node('scaled', 'Mul', 'right', 'deviation'),
        node('shifted', 'AddV2', 'scaled', 'mean'),
        conv('y', 'SAME', 'shifted', 'spatial'),
      ],
      [mean, deviation, spatial, weight('deep', 3, 3, 4, 4)],
    );

    expect(found).toEqual([]);
    expect(onnx).toContain('BatchNormalization');
    expect(onnx).not.toContain('Mul');
    expect(onnx).not.toContain('Add');
  });

  it('of a single channel cost no transpose', async () => {
    const { onnx, found } = await tried(
      [5, 4, 1],
      [conv('image', 'SAME', 'x', 'gray'), node('y', 'Relu', 'image')],
      [weight('gray', 3, 3, 1, 2)],
    );

    expect(found).toEqual([]);
    // One behind it, none before.
    expect(onnx.split('Transpose').length - 1).toBe(1);
  });
});
