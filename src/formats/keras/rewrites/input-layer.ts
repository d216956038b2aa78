import { type LayerDraft, classOf } from '../topology-json';

/** Types that a request can bring only as the type beside it. */
const INPUT_TYPES: Readonly<Record<string, string>> = {
  float16: 'float32',
  bfloat16: 'float32',
  float64: 'float32',
  int8: 'int32',
  uint8: 'int32',
  int16: 'int32',
  uint16: 'int32',
  uint32: 'int32',
  int64: 'int32',
};

/** Keras 3 says `batch_shape`, TensorFlow.js reads `batch_input_shape` and has fewer types. */
export function rewriteInputLayer(layer: LayerDraft): void {
  if (classOf(layer) !== 'InputLayer') return;
  const { config } = layer;
  if (config['batch_shape'] !== undefined && config['batch_input_shape'] === undefined) {
    config['batch_input_shape'] = config['batch_shape'];
  }
  delete config['batch_shape'];
  delete config['optional'];
  const { dtype } = config;
  if (typeof dtype === 'string') config['dtype'] = INPUT_TYPES[dtype] ?? dtype;
}
