import { type LayerCall, type LayerCompiler, onlyInput } from './layer-call';
import { paddingOf } from './layers-convolution';
import { pool, type PoolKind } from './pooling';
import { reduce } from './reductions';
import { range, rankOf, type Value } from './value';

function pooling(kind: PoolKind): LayerCompiler {
  return (call) => {
    const { b, config } = call;
    config.assertChannelsLast();
    const x = onlyInput(call);
    const spatial = rankOf(x) - 2;
    const sizes = config.perAxis('pool_size', spatial, 2);
    return pool(b, x, kind, sizes, {
      strides: config.perAxis('strides', spatial, sizes),
      dilations: new Array<number>(spatial).fill(1),
      padding: paddingOf(config),
    });
  };
}

function globalPooling(kind: 'Mean' | 'Max'): LayerCompiler {
  return (call: LayerCall): Value => {
    call.config.assertChannelsLast();
    const x = onlyInput(call);
    return reduce(call.b, x, kind, range(1, rankOf(x) - 1), call.config.flag('keepdims'));
  };
}

export const POOLING_LAYERS: Readonly<Record<string, LayerCompiler>> = {
  MaxPooling1D: pooling('max'),
  MaxPooling2D: pooling('max'),
  MaxPooling3D: pooling('max'),
  AveragePooling1D: pooling('average'),
  AveragePooling2D: pooling('average'),
  AveragePooling3D: pooling('average'),
  GlobalAveragePooling1D: globalPooling('Mean'),
  GlobalAveragePooling2D: globalPooling('Mean'),
  GlobalMaxPooling1D: globalPooling('Max'),
  GlobalMaxPooling2D: globalPooling('Max'),
};
