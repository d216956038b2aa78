import * as tf from '@tensorflow/tfjs-core';

import { elementCount, type NamedTensors, type Tensor } from '../../../../src/common/tensor';
import { NotCompiledError } from '../../../../src/runtime/runtime.errors';
import { compiled } from '../../../support/compiled';
import { floats, floatTensor } from '../../../support/golden';
import { aVersion, MemorySource, readArtifact } from '../../../support/loadable';
import { GraphTrial } from '../../../support/graph-trial';
import {
  aGraph,
  type GraphNode,
  placeholder,
  unknownOp,
  type Weight,
} from '../../../support/tiny-graphs';

type Attr = NonNullable<GraphNode['attr']>;

const FLOAT = { T: { type: 'DT_FLOAT' } };
const INT = { T: { type: 'DT_INT32' } };
const text = (value: string): { s: string } => ({ s: Buffer.from(value).toString('base64') });
const list = (...i: number[]): { list: { i: string[] } } => ({ list: { i: i.map(String) } });
const window = (padding: string, ...strides: number[]): Attr => ({
  padding: text(padding),
  strides: list(1, ...strides, 1),
  dilations: list(1, ...strides.map(() => 1), 1),
  data_format: text('NHWC'),
});
const fused = (...ops: string[]): Attr => ({
  fused_ops: { list: { s: ops.map((op) => text(op).s) } },
  num_args: { i: String(ops.filter((op) => op === 'BiasAdd' || op === 'Prelu').length) },
});

function node(op: string, input: string[], attr: Attr = FLOAT, name = 'y'): GraphNode {
  return { name, op, input, attr };
}

function ints(name: string, ...value: number[]): Weight {
  return { name, value, dtype: 'int32' };
}

function int(name: string, value: number): Weight {
  return { name, value, dtype: 'int32' };
}

/** Numbers that look like weights, the same ones each time. */
function weight(name: string, ...shape: number[]): Weight {
  const value = [...tf.randomUniform([elementCount(shape)], -1, 1, 'float32', 7).dataSync()];
  return { name, value, shape };
}

function randomInput(shape: readonly number[], dtype: 'float32' | 'int32'): Tensor {
  const count = elementCount(shape);
  const drawn = tf.randomUniform(
    [count],
    dtype === 'int32' ? -9 : -2,
    dtype === 'int32' ? 9 : 2,
    'float32',
    3,
  );
  const values = [...drawn.dataSync()];
  const typed = dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values);
  return { dtype, shape, data: new Uint8Array(typed.buffer) };
}

describe('compileGraph', () => {
  let trial: GraphTrial;
  beforeAll(async () => {
    trial = await GraphTrial.start();
  });
  afterAll(async () => {
    await trial.stop();
  });

  async function disagreements(
    nodes: GraphNode[],
    weights: Weight[],
    shape: number[],
    type: 'DT_FLOAT' | 'DT_INT32' = 'DT_FLOAT',
  ): Promise<readonly string[]> {
    const files = aGraph([placeholder('x', type, shape), ...nodes], weights);
    const feeds = (shape[0] === -1 ? [1, 3] : [1]).map((batch) => {
      const sizes = shape.map((size) => (size < 0 ? batch : size));
      return { x: randomInput(sizes, type === 'DT_INT32' ? 'int32' : 'float32') };
    });
    return (await trial.compare(files, feeds)).found;
  }

  const image = [-1, 7, 6, 3];
  const kernel = weight('k', 3, 3, 3, 4);
  const conv = node('Conv2D', ['x', 'k'], { ...FLOAT, ...window('SAME', 2, 2) }, 'c');

  it.each<[string, number[], GraphNode[], Weight[]]>([
    [
      'a convolution with explicit padding',
      image,
      [
        node('Conv2D', ['x', 'k'], {
          ...window('EXPLICIT', 1, 1),
          explicit_paddings: list(0, 0, 1, 2, 0, 1, 0, 0),
        }),
      ],
      [kernel],
    ],
    [
      'a fused convolution',
      image,
      [
        node('_FusedConv2D', ['x', 'k', 'b'], {
          ...window('SAME', 1, 2),
          ...fused('BiasAdd', 'Relu6'),
        }),
      ],
      [kernel, weight('b', 4)],
    ],
    [
      'a fused convolution with leaky ReLU',
      image,
      [
        node('_FusedConv2D', ['x', 'k', 'b'], {
          ...window('VALID', 1, 1),
          ...fused('BiasAdd', 'LeakyRelu'),
          leakyrelu_alpha: { f: 0.1 },
        }),
      ],
      [kernel, weight('b', 4)],
    ],
    [
      'a fused convolution with PReLU',
      image,
      [
        node('_FusedConv2D', ['x', 'k', 'b', 'a'], {
          ...window('VALID', 1, 1),
          ...fused('BiasAdd', 'Prelu'),
        }),
      ],
      [kernel, weight('b', 4), weight('a', 1, 1, 4)],
    ],
    [
      'a fused depthwise convolution',
      image,
      [
        node('FusedDepthwiseConv2dNative', ['x', 'k', 'b'], {
          ...window('SAME', 2, 2),
          ...fused('BiasAdd', 'Elu'),
        }),
      ],
      [weight('k', 3, 3, 3, 2), weight('b', 6)],
    ],
    [
      'a factor and a summand behind a convolution',
      image,
      [conv, node('Mul', ['c', 'f'], FLOAT, 'm'), node('AddV2', ['m', 's'])],
      [kernel, weight('f', 4), weight('s', 1, 1, 1, 4)],
    ],
    [
      'a difference behind a convolution',
      image,
      [conv, node('Sub', ['c', 's'])],
      [kernel, weight('s', 4)],
    ],
    [
      'a difference from a constant',
      image,
      [conv, node('Sub', ['s', 'c'])],
      [kernel, weight('s', 4)],
    ],
    [
      'a factor that differs by place',
      image,
      [conv, node('Mul', ['c', 'f'])],
      [kernel, weight('f', 4, 3, 4)],
    ],
    [
      'a convolution that is used twice',
      image,
      [conv, node('Mul', ['c', 'f'], FLOAT, 'm'), node('AddV2', ['m', 'c'])],
      [kernel, weight('f', 4)],
    ],
    [
      'a convolution times a row',
      image,
      [conv, node('Mean', ['c', 'axes'], FLOAT, 'm'), node('Mul', ['c', 'm'])],
      [kernel, ints('axes', 1, 2)],
    ],
    [
      'a batch norm',
      image,
      [
        conv,
        node(
          'FusedBatchNormV3',
          ['c', 'g', 'b', 'm', 'v'],
          { ...FLOAT, epsilon: { f: 0.01 } },
          'n',
        ),
        node('Identity', ['n']),
      ],
      [
        kernel,
        weight('g', 4),
        weight('b', 4),
        weight('m', 4),
        { name: 'v', value: [1, 2, 0.5, 0.1] },
      ],
    ],
    [
      'pooling',
      image,
      [
        node('MaxPool', ['x'], { ...window('SAME', 2, 2), ksize: list(1, 3, 3, 1) }, 'p'),
        node('AvgPool', ['p'], { ...window('SAME', 1, 1), ksize: list(1, 2, 2, 1) }),
      ],
      [],
    ],
    [
      'a transposed convolution',
      [1, 4, 3, 3],
      [node('Conv2DBackpropInput', ['s', 'k', 'x'], window('SAME', 2, 2))],
      [ints('s', 1, 8, 5, 4), weight('k', 3, 3, 4, 3)],
    ],
    [
      'a resized image',
      [-1, 4, 5, 2],
      [
        node('ResizeBilinear', ['x', 's'], {
          half_pixel_centers: { b: true },
          align_corners: { b: false },
        }),
      ],
      [ints('s', 7, 9)],
    ],
    [
      'a resized image with its corners kept',
      [-1, 4, 5, 2],
      [
        node('ResizeBilinear', ['x', 's'], {
          half_pixel_centers: { b: false },
          align_corners: { b: true },
        }),
      ],
      [ints('s', 7, 9)],
    ],
    [
      'a resized image by neighbours',
      [-1, 4, 5, 2],
      [
        node('ResizeNearestNeighbor', ['x', 's'], {
          half_pixel_centers: { b: false },
          align_corners: { b: false },
        }),
      ],
      [ints('s', 7, 9)],
    ],
    [
      'means over channels',
      image,
      [conv, node('Mean', ['c', 'axes'], { keep_dims: { b: true } })],
      [kernel, ints('axes', -1)],
    ],
    [
      'sums over places',
      image,
      [conv, node('Sum', ['c', 'axes'], {})],
      [kernel, ints('axes', 1, 2)],
    ],
    [
      'the largest of rows',
      image,
      [conv, node('Max', ['c', 'axes'], {})],
      [kernel, ints('axes', 1)],
    ],
    [
      'the place of the largest',
      image,
      [conv, node('ArgMax', ['c', 'axis'], { T: FLOAT.T })],
      [kernel, int('axis', 2)],
    ],
    [
      'padded and joined images',
      image,
      [
        conv,
        node('Pad', ['c', 'p'], FLOAT, 'q'),
        node('ConcatV2', ['q', 'q', 'axis'], { N: { i: '2' } }),
      ],
      [
        kernel,
        { name: 'p', value: [0, 0, 1, 2, 0, 3, 1, 0], shape: [4, 2], dtype: 'int32' },
        int('axis', 3),
      ],
    ],
    [
      'mirrored borders',
      image,
      [node('MirrorPad', ['x', 'p'], { mode: text('REFLECT') })],
      [{ name: 'p', value: [0, 0, 1, 2, 2, 1, 0, 0], shape: [4, 2], dtype: 'int32' }],
    ],
    [
      'slices',
      image,
      [
        conv,
        node('StridedSlice', ['c', 'b', 'e', 's'], {
          begin_mask: { i: '1' },
          end_mask: { i: '9' },
          shrink_axis_mask: { i: '0' },
          ellipsis_mask: { i: '0' },
          new_axis_mask: { i: '0' },
        }),
      ],
      [kernel, ints('b', 0, 1, -1, 0), ints('e', 0, 3, 0, 4), ints('s', 1, 1, -1, 2)],
    ],
    [
      'a slice with an axis dropped',
      [-1, 5, 4],
      [
        node('StridedSlice', ['x', 'b', 'e', 's'], {
          begin_mask: { i: '1' },
          end_mask: { i: '1' },
          shrink_axis_mask: { i: '2' },
        }),
      ],
      [ints('b', 0, -1), ints('e', 0, 0), ints('s', 1, 1)],
    ],
    [
      'a slice with an ellipsis and a new axis',
      [-1, 5, 4],
      [
        node('StridedSlice', ['x', 'b', 'e', 's'], {
          ellipsis_mask: { i: '1' },
          new_axis_mask: { i: '2' },
          shrink_axis_mask: { i: '4' },
        }),
      ],
      [ints('b', 0, 0, 2), ints('e', 0, 0, 3), ints('s', 1, 1, 1)],
    ],
    [
      'a piece',
      [-1, 5, 4],
      [node('Slice', ['x', 'b', 's'])],
      [ints('b', 0, 1, 2), ints('s', -1, 3, 2)],
    ],
    [
      'pieces put together again',
      [-1, 6, 2],
      [
        node('Split', ['axis', 'x'], { num_split: { i: '3' } }, 's'),
        node('Pack', ['s:2', 's', 's:1'], { axis: { i: '1' }, N: { i: '3' } }, 'p'),
        node('Unpack', ['p'], { axis: { i: '1' }, num: { i: '3' } }, 'u'),
        node('AddN', ['u:1', 'u']),
      ],
      [int('axis', 1)],
    ],
    [
      'rows of a size of their own',
      [-1, 3, 4],
      [
        node('Shape', ['x'], FLOAT, 'shape'),
        node('StridedSlice', ['shape', 'b', 'e', 's'], { shrink_axis_mask: { i: '1' } }, 'batch'),
        node('Pack', ['batch', 'rest'], { axis: { i: '0' }, N: { i: '2' } }, 'to'),
        node('Reshape', ['x', 'to']),
      ],
      [ints('b', 0), ints('e', 1), ints('s', 1), int('rest', 12)],
    ],
    [
      'a filled tensor',
      [-1, 3],
      [
        node('Shape', ['x'], FLOAT, 'shape'),
        node('Fill', ['shape', 'half'], {}, 'f'),
        node('Add', ['x', 'f']),
      ],
      [{ name: 'half', value: 0.5 }],
    ],
    ['repeated parts', [-1, 3], [node('Tile', ['x', 'n'])], [ints('n', 1, 2)]],
    [
      'a product of batches',
      [-1, 3, 4],
      [node('BatchMatMulV2', ['x', 'x'], { adj_x: { b: true }, adj_y: { b: false } })],
      [],
    ],
    [
      'a product with weights the other way round',
      [-1, 4],
      [node('MatMul', ['x', 'w'], { transpose_a: { b: false }, transpose_b: { b: true } })],
      [weight('w', 3, 4)],
    ],
    [
      'a fused product',
      [-1, 4],
      [
        node('_FusedMatMul', ['x', 'w', 'b'], {
          ...fused('BiasAdd', 'Elu'),
          transpose_a: { b: false },
          transpose_b: { b: false },
        }),
      ],
      [weight('w', 4, 3), weight('b', 3)],
    ],
    [
      'an Einstein sum',
      [-1, 3, 4],
      [node('Einsum', ['x', 'w'], { equation: text('abc,cd->adb'), N: { i: '2' } })],
      [weight('w', 4, 2)],
    ],
    [
      'a choice',
      [-1, 4],
      [node('Greater', ['x', 'half'], FLOAT, 'g'), node('SelectV2', ['g', 'x', 'half'])],
      [{ name: 'half', value: 0.5 }],
    ],
    [
      'comparisons',
      [-1, 4],
      [
        node('LessEqual', ['x', 'half'], FLOAT, 'a'),
        node('NotEqual', ['x', 'half'], FLOAT, 'n'),
        node('LogicalAnd', ['a', 'n'], {}, 'o'),
        node('Cast', ['o'], { DstT: { type: 'DT_FLOAT' } }),
      ],
      [{ name: 'half', value: 0.5 }],
    ],
    [
      'the largest few',
      [-1, 6],
      [
        node('TopKV2', ['x', 'k'], { sorted: { b: true } }, 't'),
        node('Cast', ['t:1'], { DstT: { type: 'DT_FLOAT' } }, 'i'),
        node('AddV2', ['t', 'i']),
      ],
      [int('k', 3)],
    ],
    [
      'numbers cut to whole ones',
      [-1, 4],
      [node('Cast', ['x'], { DstT: { type: 'DT_INT32' } })],
      [],
    ],
    ['a table', [-1, 4], [node('GatherV2', ['x', 'i', 'axis'])], [ints('i', 3, 0), int('axis', 1)]],
    [
      'clipped numbers',
      [-1, 4],
      [node('ClipByValue', ['x', 'low', 'high'])],
      [
        { name: 'low', value: -1 },
        { name: 'high', value: 0.5 },
      ],
    ],
  ])('computes %s as TensorFlow.js does', async (_, shape, nodes, weights) => {
    expect(await disagreements(nodes, weights, shape)).toEqual([]);
  });

  it.each(
    [
      ...['Abs', 'Ceil', 'Cos', 'Elu', 'Erf', 'Exp', 'Floor', 'LeakyRelu', 'LogSoftmax', 'Neg'],
      ...['Reciprocal', 'Relu', 'Relu6', 'Round', 'Selu', 'Sigmoid', 'Sign', 'Sin', 'Softmax'],
      ...['Softplus', 'Square', 'Tanh', 'Atan', 'Sinh', 'Cosh'],
    ].map((op) => [op]),
  )('computes %s as TensorFlow.js does', async (op) => {
    const attr = op === 'LeakyRelu' ? { alpha: { f: 0.3 } } : FLOAT;

    expect(await disagreements([node(op, ['x'], attr)], [], [-1, 9])).toEqual([]);
  });

  it.each(['Sqrt', 'Rsqrt', 'Log'])('computes %s of positive numbers', async (op) => {
    const nodes = [node('Square', ['x'], FLOAT, 's'), node(op, ['s'])];

    expect(await disagreements(nodes, [], [-1, 9])).toEqual([]);
  });

  it.each(['AddV2', 'Sub', 'Mul', 'RealDiv', 'Maximum', 'Minimum', 'SquaredDifference'])(
    'computes %s of pairs',
    async (op) => {
      const weights = [weight('w', 3, 1)];

      expect(await disagreements([node(op, ['x', 'w'])], weights, [-1, 1, 4])).toEqual([]);
    },
  );

  it.each(['AddV2', 'Sub', 'Mul', 'Maximum', 'Minimum', 'FloorDiv', 'FloorMod'])(
    'computes %s of whole numbers exactly, with signs of every kind',
    async (op) => {
      const weights = [{ name: 'w', value: [3, -4, 5, -7], dtype: 'int32' as const }];

      expect(
        await disagreements([node(op, ['x', 'w'], INT)], weights, [-1, 5, 4], 'DT_INT32'),
      ).toEqual([]);
    },
  );

  it('computes attention as TensorFlow.js does', async () => {
    const files = readArtifact('tfjs/zoo-mha.graph');

    const { found } = await trial.compare(files, [{ seq: randomInput([3, 10, 16], 'float32') }]);

    expect(found).toEqual([]);
  });

  it('keeps a chain of convolutions free of transposes', async () => {
    const nodes = [
      conv,
      node('Relu', ['c'], FLOAT, 'r'),
      node('Conv2D', ['r', 'k2'], window('SAME', 1, 1), 'c2'),
      node('AddV2', ['r', 'c2'], FLOAT, 's'),
      node('MaxPool', ['s'], { ...window('SAME', 2, 2), ksize: list(1, 2, 2, 1) }, 'p'),
      node('Mean', ['p', 'axes'], {}),
    ];
    const weights = [kernel, weight('k2', 3, 3, 4, 4), ints('axes', 1, 2)];
    const files = aGraph([placeholder('x', 'DT_FLOAT', image), ...nodes], weights);

    const { onnx } = await compiled(files);

    expect(Buffer.from(onnx).toString('latin1').split('Transpose').length - 1).toBe(1);
  });

  it('gives the same bytes each time', async () => {
    const files = aGraph([placeholder('x', 'DT_FLOAT', image), conv], [kernel]);

    expect((await compiled(files)).onnx).toEqual((await compiled(files)).onnx);
  });

  it('refuses places outside of a table, before it and behind it, as TensorFlow.js does', async () => {
    const files = aGraph(
      [placeholder('x', 'DT_INT32', [-1]), node('GatherV2', ['table', 'x', 'axis'])],
      [{ name: 'table', value: [10, 11, 12, 13] }, int('axis', 0)],
    );
    const [onnx, model] = [
      await compiled(files),
      await trial.engine.load(aVersion(files), new MemorySource(files)),
    ];
    const at = (...places: number[]): NamedTensors => {
      const data = new Uint8Array(Int32Array.from(places).buffer);
      return { x: { dtype: 'int32', shape: [places.length], data } };
    };

    expect([...floats((await trial.child.run(onnx, at(3, 0)))['y']!)]).toEqual([13, 10]);
    for (const outside of [at(-1, 1), at(1, 4)]) {
      await expect(model.predict(outside)).rejects.toThrow('not in [0, 3]');
      await expect(trial.child.run(onnx, outside)).rejects.toThrow('out of data bounds');
    }
    await model.dispose();
  });

  it.each(['DT_FLOAT', 'DT_INT32'] as const)(
    'makes rows of ones and zeros of type %s, none for places out of range',
    async (type) => {
      const dtype = type === 'DT_FLOAT' ? 'float32' : 'int32';
      const weights = [
        int('depth', 3),
        { name: 'on', value: 5, dtype },
        { name: 'off', value: -2, dtype },
      ] as const;
      const files = aGraph(
        [
          placeholder('x', 'DT_INT32', [-1]),
          node('OneHot', ['x', 'depth', 'on', 'off'], { T: { type } }),
        ],
        [...weights],
      );
      const data = new Uint8Array(Int32Array.from([0, -1, 3, 2, -4]).buffer);

      const { found } = await trial.compare(files, [{ x: { dtype: 'int32', shape: [5], data } }]);

      expect(found).toEqual([]);
    },
  );

  it('refuses places before the first of several axes', async () => {
    const files = aGraph(
      [placeholder('x', 'DT_INT32', [-1, 2]), node('GatherNd', ['table', 'x'])],
      [{ name: 'table', value: [0, 1, 2, 3, 4, 5], shape: [3, 2] }],
    );
    const onnx = await compiled(files);
    const at = (...places: number[]): NamedTensors => {
      const data = new Uint8Array(Int32Array.from(places).buffer);
      return { x: { dtype: 'int32', shape: [places.length / 2, 2], data } };
    };

    expect([...floats((await trial.child.run(onnx, at(2, 1, 0, 1)))['y']!)]).toEqual([5, 1]);
    await expect(trial.child.run(onnx, at(0, 0, -1, 1))).rejects.toThrow();
  });

  it('names an op that it has no form for (53)', async () => {
    await expect(compiled(unknownOp())).rejects.toThrow(NotCompiledError);
    await expect(compiled(unknownOp())).rejects.toThrow('Op Frobnicate is not compiled');
  });

  it('refuses a graph that runs in circles (54)', async () => {
    const nodes = [
      node('Relu', ['b'], FLOAT, 'a'),
      node('Relu', ['a'], FLOAT, 'b'),
      node('Relu', ['b']),
    ];
    const files = aGraph([placeholder('x', 'DT_FLOAT', [1]), ...nodes]);

    await expect(compiled(files)).rejects.toThrow('Loops are not compiled');
  });

  it('lets NaN and infinities through arithmetic as TensorFlow.js does (84)', async () => {
    const files = aGraph(
      [placeholder('x', 'DT_FLOAT', [-1, 3]), node('RealDiv', ['x', 'zero'])],
      [{ name: 'zero', value: 0 }],
    );

    const { y } = await trial.child.run(await compiled(files), {
      x: floatTensor([1, 3], [2, -3, NaN]),
    });

    expect([...new Float32Array(y!.data.buffer)]).toEqual([Infinity, -Infinity, NaN]);
  });
});
