import { CONVERT_TO_GRAPH } from '../../graph-form';
import { classOf, type LayerDraft, type Rewriting, titleOf } from '../topology-json';

type Check = (config: Readonly<Record<string, unknown>>, className: string) => string | null;

/**
 * What TensorFlow.js 4.22 loads without a word and computes otherwise than Keras. Each was read in
 * its layer classes.
 */
const CHECKS: readonly Check[] = [
  (config, className) =>
    /^Global\w+Pooling/.test(className) && config['keepdims'] === true
      ? 'keeps the dimensions that it pools over'
      : null,
  (_, className) => (className === 'Resizing' ? 'aligns pixels otherwise when it resizes' : null),
  (config, className) =>
    className === 'UpSampling2D' && (config['interpolation'] ?? 'nearest') !== 'nearest'
      ? 'interpolates between pixels'
      : null,
  (config, className) =>
    className === 'LayerNormalization' && config['rms_scaling'] === true
      ? 'scales by the root mean square'
      : null,
  (config) => (config['time_major'] === true ? 'takes time as the first dimension' : null),
  (config) => ((config['groups'] ?? 1) !== 1 ? 'convolves in groups' : null),
  (config, className) =>
    /^(?:DepthwiseConv2D|Conv2DTranspose)$/.test(className) && isDilated(config['dilation_rate'])
      ? 'is dilated'
      : null,
  (config, className) =>
    className === 'Conv2DTranspose' && padsOtherwise(config)
      ? 'has an output_padding that changes its output'
      : null,
  (_, className) => (className === 'CategoryEncoding' ? 'encodes categories' : null),
  (_, className) => (className === 'CenterCrop' ? 'cuts out the centre' : null),
  (config, className) =>
    className === 'Rescaling' &&
    (typeof config['scale'] !== 'number' || typeof (config['offset'] ?? 0) !== 'number')
      ? 'scales each channel by its own factor'
      : null,
];

export function refuseOtherResults(layer: LayerDraft, { faults }: Rewriting): void {
  for (const check of CHECKS) {
    const what = check(layer.config, classOf(layer));
    if (what === null) continue;
    faults.add(
      layer.path,
      `${titleOf(layer)} ${what}, which TensorFlow.js does not do. ${CONVERT_TO_GRAPH}`,
    );
  }
}

function isDilated(rate: unknown): boolean {
  return [rate ?? 1].flat().some((dilation) => dilation !== 1);
}

/** Without output_padding, which is all that TensorFlow.js knows, the output has one certain size. */
function padsOtherwise(config: Readonly<Record<string, unknown>>): boolean {
  const given = config['output_padding'] ?? null;
  if (given === null) return false;
  return [0, 1].some((axis) => {
    const along = (value: unknown): number =>
      Number(Array.isArray(value) ? (value as unknown[])[axis] : value);
    const kernel = along(config['kernel_size']);
    const stride = along(config['strides'] ?? 1);
    const usual =
      config['padding'] === 'same' ? stride - (kernel % 2) : Math.max(0, stride - kernel);
    return along(given) !== usual;
  });
}
