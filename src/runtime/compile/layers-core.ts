import { NotCompiledError } from '../runtime.errors';
import { clip, elu, leakyRelu, prelu, relu, softmax } from './activations';
import { scalar } from './constant';
import { add, binary, cast, multiply, nary, scale } from './elementwise';
import { activated, type LayerCall, type LayerCompiler, onlyInput } from './layer-call';
import { affine, layerNormalization, normalization } from './normalization';
import { dense } from './products';
import { keepCounting } from './recurrent';
import { reduce } from './reductions';
import { resize } from './resize';
import { gather } from './selection';
import { concat, flatten, reshape, tile, transpose, unsqueeze } from './shapes';
import { axisOf, rankOf, type Value } from './value';

/** What trains a model and does nothing to a prediction. */
const identity: LayerCompiler = (call) => onlyInput(call);

const denseLayer: LayerCompiler = (call) => {
  const { b, weights } = call;
  return activated(call, dense(b, onlyInput(call), weights.get('kernel'), weights.find('bias')));
};

const reluLayer: LayerCompiler = (call) => {
  const x = onlyInput(call);
  const most = call.config.number('max_value', Infinity);
  return most === Infinity ? relu(call.b, x) : clip(call.b, x, 0, most);
};

const thresholded: LayerCompiler = (call) => {
  const x = onlyInput(call);
  const theta = call.b.constant(scalar(call.config.number('theta', 1)));
  const isLarge = binary(call.b, ['Greater', 13], x, theta, 'bool');
  return multiply(call.b, x, cast(call.b, isLarge, 'float32'));
};

const embedding: LayerCompiler = (call) => {
  const { b, weights } = call;
  const indices = cast(b, onlyInput(call), 'int32');
  return gather(b, b.constant(weights.get('embeddings')), indices, 0);
};

const masking: LayerCompiler = (call) => {
  const x = onlyInput(call);
  return keepCounting(call.b, x, unsqueeze(call.b, maskOf(call), [-1]));
};

/** The mask that Masking and Embedding make. */
export function maskOf({ b, config, inputs: [x] }: LayerCall): Value {
  if (!x) throw new NotCompiledError(`${config.className} without an input is not compiled`);
  const hidden = config.className === 'Masking' ? config.number('mask_value', 0) : 0;
  const isHidden = binary(b, ['Equal', 13], x, b.constant(scalar(hidden, x.dtype)), 'bool');
  const counts: Value = {
    dtype: 'bool',
    shape: x.shape,
    names: { last: b.emit('Not', 1, [b.last(isHidden)]) },
  };
  if (config.className !== 'Masking') return counts;
  return cast(b, reduce(b, cast(b, counts, 'float32'), 'Max', [-1], false), 'bool');
}

const batchNormalization: LayerCompiler = (call) => {
  const { b, config, weights, isOnlyUse } = call;
  const x = onlyInput(call);
  const axis = config.raw('axis') ?? -1;
  const at: unknown = Array.isArray(axis) ? axis[0] : axis;
  if (typeof at !== 'number' || axisOf(at, rankOf(x)) !== rankOf(x) - 1) {
    throw new NotCompiledError('BatchNormalization of another axis than the last is not compiled');
  }
  const rule = normalization(
    weights.get('moving_mean'),
    weights.get('moving_variance'),
    weights.find('gamma'),
    weights.find('beta'),
    config.number('epsilon', 1e-3),
  );
  return affine(b, x, rule, isOnlyUse);
};

const layerNorm: LayerCompiler = (call) => {
  const { b, config, weights } = call;
  const x = onlyInput(call);
  const axis = config.raw('axis') ?? -1;
  const axes: unknown[] = Array.isArray(axis) ? axis : [axis];
  const [at] = axes;
  if (axes.length > 1 || typeof at !== 'number' || axisOf(at, rankOf(x)) !== rankOf(x) - 1) {
    throw new NotCompiledError('LayerNormalization of other axes than the last is not compiled');
  }
  const epsilon = config.number('epsilon', 1e-3);
  return layerNormalization(b, x, weights.find('gamma'), weights.find('beta'), epsilon);
};

/** The merge layers that work element by element, all inputs having the same rank. */
function merge(op: string, since: number): LayerCompiler {
  return ({ b, inputs, config }) => {
    if (inputs.some((input) => rankOf(input) !== rankOf(inputs[0] ?? input))) {
      throw new NotCompiledError(`${config.className} of different ranks is not compiled`);
    }
    return inputs.reduce((sum, value) => nary(b, [op, since], [sum, value], sum.dtype));
  };
}

const average: LayerCompiler = (call) => {
  const sum = merge('Add', 14)(call) as Value;
  return scale(call.b, sum, 1 / call.inputs.length);
};

const resizing: LayerCompiler = (call) => {
  const { b, config } = call;
  const method = config.text('interpolation', 'bilinear');
  if (method !== 'bilinear' && method !== 'nearest') {
    throw new NotCompiledError(`Resizing with ${method} is not compiled`);
  }
  const size = [config.number('height', -1), config.number('width', -1)] as const;
  const alignCorners = !config.flag('crop_to_aspect_ratio');
  return resize(b, onlyInput(call), size, { method, alignCorners, halfPixelCenters: false });
};

export const CORE_LAYERS: Readonly<Record<string, LayerCompiler>> = {
  Dropout: identity,
  SpatialDropout1D: identity,
  SpatialDropout2D: identity,
  GaussianNoise: identity,
  GaussianDropout: identity,
  AlphaDropout: identity,
  Dense: denseLayer,
  Activation: (call) => activated(call, onlyInput(call)),
  ReLU: reluLayer,
  LeakyReLU: (call) => leakyRelu(call.b, onlyInput(call), call.config.number('alpha', 0.3)),
  PReLU: (call) => {
    const slope = call.b.constant(call.weights.get('alpha'));
    return prelu(call.b, onlyInput(call), slope);
  },
  ELU: (call) => elu(call.b, onlyInput(call), call.config.number('alpha', 1)),
  ThresholdedReLU: thresholded,
  Softmax: (call) => softmax(call.b, onlyInput(call), call.config.number('axis', -1)),
  Flatten: (call) => {
    call.config.assertChannelsLast();
    return flatten(call.b, onlyInput(call));
  },
  Reshape: (call) => {
    const x = onlyInput(call);
    return reshape(call.b, x, [
      x.shape[0] ?? -1,
      ...inferred(x, call.config.sizes('target_shape')),
    ]);
  },
  Permute: (call) => transpose(call.b, onlyInput(call), [0, ...call.config.sizes('dims')]),
  RepeatVector: (call) => {
    const x = unsqueeze(call.b, onlyInput(call), [1]);
    return tile(call.b, x, [1, call.config.number('n', 1), 1]);
  },
  Embedding: embedding,
  Masking: masking,
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNorm,
  Add: merge('Add', 14),
  Multiply: merge('Mul', 14),
  Maximum: merge('Max', 13),
  Minimum: merge('Min', 13),
  Average: average,
  Concatenate: ({ b, inputs, config }) => concat(b, inputs, config.number('axis', -1)),
  Rescaling: (call) => {
    const scaled = scale(call.b, onlyInput(call), call.config.number('scale', 1));
    return add(call.b, scaled, call.b.constant(scalar(call.config.number('offset', 0))));
  },
  Resizing: resizing,
};

/** The open size of a target shape, worked out from the input, so that the batch may stay open. */
function inferred({ shape }: Value, target: readonly number[]): number[] {
  const rest = shape.slice(1);
  if (rest.includes(-1)) return [...target];
  const count = rest.reduce((product, size) => product * size, 1);
  const known = target.filter((size) => size >= 0).reduce((product, size) => product * size, 1);
  return target.map((size) => (size < 0 ? count / known : size));
}
