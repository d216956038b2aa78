import { type FaultLog } from './fault-log';
import { asArray, type JsonObject, member } from './json-value';
import { type KerasLayer, type KerasModel } from './keras-model';
import { followCalls } from './keras-wiring';

/** A size that the configuration of a layer fixes, or null where only its input does. */
export type Extent = number | null;

/** A tensor that TensorFlow.js will make for a layer, and fill from the weights of its name. */
export interface Variable {
  readonly name: string;
  /** Null when not even the number of dimensions is known. */
  readonly shape: readonly Extent[] | null;
  readonly layer: KerasLayer;
}

/** Every variable of a model and of the models inside it, by the names that the library gives. */
export function modelVariables(model: KerasModel, faults: FaultLog): readonly Variable[] {
  const { layers } = followCalls(model, faults);
  return layers.flatMap((layer) => layerVariables(layer, layer.name, faults));
}

/** The variables of one layer, in the order in which Keras keeps them. */
export function layerVariables(
  layer: KerasLayer,
  scope: string,
  faults: FaultLog,
): readonly Variable[] {
  const { className, parts, model } = layer;
  // Inner models are built before anything calls them, so their names carry no outer scope.
  if (model) return modelVariables(model, faults);
  switch (className) {
    case 'TimeDistributed':
      return parts.flatMap((part) => layerVariables(part, scope, faults));
    case 'Bidirectional':
      return ['forward', 'backward'].flatMap((way) =>
        parts.flatMap((part) => layerVariables(part, `${scope}/${way}_${part.name}`, faults)),
      );
    case 'RNN':
    case 'StackedRNNCells': {
      const [only] = parts;
      const isOne =
        className === 'RNN' && parts.length === 1 && !Array.isArray(member(layer.config, 'cell'));
      if (isOne && only) return layerVariables(only, scope, faults);
      return parts.flatMap((part, index) =>
        layerVariables(part, `${scope}/RNNCell_${index}`, faults),
      );
    }
    default: {
      const shapes = new VariableShapes(layer, faults).list();
      return shapes.map(([name, shape]) => ({ name: `${scope}/${name}`, shape, layer }));
    }
  }
}

type NamedShape = readonly [name: string, shape: readonly Extent[] | null];

/** What each class with weights of its own makes of its configuration. */
class VariableShapes {
  constructor(
    private readonly layer: KerasLayer,
    private readonly faults: FaultLog,
  ) {}

  list(): readonly NamedShape[] {
    switch (this.layer.className) {
      case 'Dense':
        return this.withBias([['kernel', [null, this.count('units')]]], this.count('units'));
      case 'Embedding':
        return [['embeddings', [this.count('inputDim'), this.count('outputDim')]]];
      case 'Conv1D':
        return this.convolution(1);
      case 'Conv2D':
        return this.convolution(2);
      case 'Conv3D':
        return this.convolution(3);
      case 'Conv2DTranspose':
        return this.transposed(2);
      case 'Conv3DTranspose':
        return this.transposed(3);
      case 'DepthwiseConv2D':
        return this.withBias(
          [['depthwise_kernel', [...this.kernel(2), null, this.count('depthMultiplier', 1)]]],
          null,
        );
      case 'SeparableConv2D':
        return this.separable();
      case 'BatchNormalization':
        return [
          ...this.centredAndScaled([null]),
          ['moving_mean', [null]],
          ['moving_variance', [null]],
        ];
      case 'LayerNormalization':
        return this.centredAndScaled(null);
      case 'PReLU':
        return [['alpha', null]];
      case 'SimpleRNN':
      case 'SimpleRNNCell':
        return this.recurrent(1);
      case 'GRU':
      case 'GRUCell':
        return this.recurrent(3);
      case 'LSTM':
      case 'LSTMCell':
        return this.recurrent(4);
      case 'ConvLSTM2D':
      case 'ConvLSTM2DCell':
        return this.recurrentConvolution();
      default:
        return [];
    }
  }

  private convolution(rank: number): readonly NamedShape[] {
    const filters = this.count('filters');
    return this.withBias([['kernel', [...this.kernel(rank), null, filters]]], filters);
  }

  private transposed(rank: number): readonly NamedShape[] {
    const filters = this.count('filters');
    return this.withBias([['kernel', [...this.kernel(rank), filters, null]]], filters);
  }

  private separable(): readonly NamedShape[] {
    const filters = this.count('filters');
    const kernels: NamedShape[] = [
      ['depthwise_kernel', [...this.kernel(2), null, this.count('depthMultiplier', 1)]],
      ['pointwise_kernel', [1, 1, null, filters]],
    ];
    return this.withBias(kernels, filters);
  }

  private recurrent(gates: number): readonly NamedShape[] {
    const units = this.count('units');
    const wide = times(units, gates);
    const kernels: NamedShape[] = [
      ['kernel', [null, wide]],
      ['recurrent_kernel', [units, wide]],
    ];
    return this.withBias(kernels, wide);
  }

  private recurrentConvolution(): readonly NamedShape[] {
    const filters = this.count('filters');
    const wide = times(filters, 4);
    const kernels: NamedShape[] = [
      ['kernel', [...this.kernel(2), null, wide]],
      ['recurrent_kernel', [...this.kernel(2), filters, wide]],
    ];
    return this.withBias(kernels, wide);
  }

  private centredAndScaled(shape: readonly Extent[] | null): readonly NamedShape[] {
    const names: NamedShape[] = [];
    if (this.isSet('scale')) names.push(['gamma', shape]);
    if (this.isSet('center')) names.push(['beta', shape]);
    return names;
  }

  private withBias(kernels: readonly NamedShape[], bias: Extent): readonly NamedShape[] {
    return this.isSet('useBias') ? [...kernels, ['bias', [bias]]] : kernels;
  }

  private isSet(key: string): boolean {
    return Boolean(member(this.config, key) ?? true);
  }

  /** `kernel_size`, which may be one number for all dimensions. */
  private kernel(rank: number): readonly Extent[] {
    const value = member(this.config, 'kernelSize');
    const sizes = Array.isArray(value) ? asArray(value) : Array<unknown>(rank).fill(value);
    if (sizes.length === rank && sizes.every(isCount)) return sizes;
    this.fault('kernelSize', `${rank} positive whole numbers were expected`);
    return Array<Extent>(rank).fill(null);
  }

  private count(key: string, byDefault?: number): Extent {
    const value = member(this.config, key) ?? byDefault;
    if (isCount(value)) return value;
    this.fault(key, 'a positive whole number was expected');
    return null;
  }

  private fault(key: string, message: string): void {
    const snake = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    this.faults.add(`${this.layer.path}.config.${snake}`, message);
  }

  private get config(): JsonObject {
    return this.layer.config;
  }
}

function times(extent: Extent, factor: number): Extent {
  return extent === null ? null : extent * factor;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}
