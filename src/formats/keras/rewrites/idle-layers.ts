import { classOf, type LayerDraft, replaceClass, type Rewriting } from '../topology-json';

/** Layers that do something in training only. TensorFlow.js lacks them and needs none of them. */
const IDLE = new Set([
  'ActivityRegularization',
  'Identity',
  'RandomBrightness',
  'RandomContrast',
  'RandomErasing',
  'RandomFlip',
  'RandomGrayscale',
  'RandomHue',
  'RandomRotation',
  'RandomSaturation',
  'RandomSharpness',
  'RandomShear',
  'RandomTranslation',
  'RandomZoom',
  'SpatialDropout2D',
  'SpatialDropout3D',
]);

export function rewriteIdleLayers(layer: LayerDraft, notes: Rewriting): void {
  const className = classOf(layer);
  if (!IDLE.has(className)) return;
  replaceClass(layer, 'Activation', notes);
  layer.config['activation'] = 'linear';
}
