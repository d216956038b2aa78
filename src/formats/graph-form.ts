import { type ArtifactFormat } from './artifact-format';

/** The way out for layers models that TensorFlow.js cannot compute as layers. */
export const CONVERT_TO_GRAPH =
  'Convert the model to a graph model instead (model.export, then tensorflowjs_converter --input_format=tf_saved_model)';

/** The way out for a model that no engine here computes in the form in which it was uploaded. */
export function otherForm(format: ArtifactFormat): string | null {
  if (format === 'tfjs-layers') return CONVERT_TO_GRAPH;
  if (format !== 'tfjs-graph') return null;
  return 'Upload what it was converted from instead: the file of Keras (.keras, .h5), or the SavedModel, which the node engine runs';
}
