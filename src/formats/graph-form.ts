/** The way out for layers models that TensorFlow.js cannot compute as layers. */
export const CONVERT_TO_GRAPH =
  'Convert the model to a graph model instead (model.export, then tensorflowjs_converter --input_format=tf_saved_model)';
