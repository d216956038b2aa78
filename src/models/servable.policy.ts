import { NotServableError } from './models.errors';
import { type VersionDoc } from './version.doc';

/** What else can be done with files that are only kept, by the library that they come from. */
const ADVICE: Readonly<Record<string, string>> = {
  onnx: 'upload one ONNX model by itself, without "format": "opaque", and it is served',
  'tensorflow-lite':
    'run it with a TensorFlow Lite interpreter, or upload the model it was made from',
  safetensors: 'it holds weights without a computation; upload the model as Keras or SavedModel',
  gguf: 'run it with a runtime for GGUF models',
  pytorch: 'run it with PyTorch, or export it to a TensorFlow SavedModel and upload that',
};

const PICKLE_ADVICE =
  'pickles are never unpickled here: run it in Python, with predictions of your own, or upload a model in another form';

/**
 * Whether predictions with a version make sense at all; asked before the inputs are looked at.
 *
 * @throws NotServableError with what to do instead
 */
export function assertServable({ model, version, format, framework }: VersionDoc): void {
  if (format !== 'opaque') return;
  const known = ADVICE[(framework ?? '').toLowerCase()];
  const isPython = /pickle|scikit|xgboost|lightgbm|catboost|joblib/i.test(framework ?? '');
  const advice = known ?? (isPython ? PICKLE_ADVICE : 'download its files and run them elsewhere');
  throw new NotServableError(
    `Version ${version} of ${model} is kept as files and cannot be run here; ${advice}`,
    { model, version, format, framework },
  );
}
