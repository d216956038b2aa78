import { classOf, type LayerDraft, replaceClass, type Rewriting, titleOf } from '../topology-json';

/**
 * TensorFlow.js calls the slope of LeakyReLU `alpha`, and its ReLU knows neither slope nor
 * threshold. It passes over names that it does not know, and would answer with other numbers.
 */
export function rewriteReluVariants(layer: LayerDraft, notes: Rewriting): void {
  const { config } = layer;
  const className = classOf(layer);
  if (className === 'LeakyReLU') {
    if ('negative_slope' in config) config['alpha'] = config['negative_slope'];
    delete config['negative_slope'];
  }
  if (className !== 'ReLU') return;
  const slope = Number(config['negative_slope'] ?? 0);
  const threshold = Number(config['threshold'] ?? 0);
  const isCapped = (config['max_value'] ?? null) !== null;
  if (slope === 0 && threshold === 0) return;
  if (isCapped || (slope !== 0 && threshold !== 0)) {
    notes.faults.add(
      `${layer.path}.config`,
      `${titleOf(layer)} combines negative_slope, threshold and max_value in a way that TensorFlow.js cannot compute. Use ReLU or LeakyReLU alone`,
    );
  } else if (threshold === 0) {
    replaceClass(layer, 'LeakyReLU', notes);
    config['alpha'] = slope;
  } else {
    replaceClass(layer, 'ThresholdedReLU', notes);
    config['theta'] = threshold;
  }
}
