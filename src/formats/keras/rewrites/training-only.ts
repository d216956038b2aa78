import { classOf, type LayerDraft } from '../topology-json';

/**
 * What only training needs of a layer. Weights are loaded, so whatever they would start from is
 * computed for nothing; some of it TensorFlow.js cannot even compute, or refuses to read.
 */
export function dropTrainingOnly(layer: LayerDraft): void {
  const { config } = layer;
  for (const key of Object.keys(config)) {
    if (/_(?:regularizer|constraint)$/.test(key)) config[key] = null;
    if (key.endsWith('_initializer')) config[key] = { class_name: 'Zeros', config: {} };
  }
  if (!classOf(layer).startsWith('Separable')) return;
  delete config['kernel_initializer'];
  delete config['kernel_regularizer'];
  delete config['kernel_constraint'];
}
