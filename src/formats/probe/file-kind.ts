import { type ScannedOnnx } from '../onnx/onnx-scan';

/** What the content of a file shows it to be. */
export const FILE_KINDS = {
  hdf5: { framework: 'hdf5', title: 'an HDF5 file' },
  'keras-archive': { framework: 'keras', title: 'a Keras model' },
  onnx: { framework: 'onnx', title: 'an ONNX model' },
  tflite: { framework: 'tensorflow-lite', title: 'a TensorFlow Lite model' },
  pickle: { framework: 'python-pickle', title: 'a Python pickle' },
  joblib: { framework: 'python-pickle', title: 'a joblib file, which is a Python pickle' },
  torch: { framework: 'pytorch', title: 'a PyTorch file, which holds a Python pickle' },
  torchscript: { framework: 'pytorch', title: 'a TorchScript model' },
  safetensors: { framework: 'safetensors', title: 'tensors in safetensors form' },
  gguf: { framework: 'gguf', title: 'a GGUF model' },
  pmml: { framework: 'pmml', title: 'a PMML model' },
  xgboost: { framework: 'xgboost', title: 'an XGBoost model' },
  lightgbm: { framework: 'lightgbm', title: 'a LightGBM model' },
  catboost: { framework: 'catboost', title: 'a CatBoost model' },
} as const;
export type FileKind = keyof typeof FILE_KINDS;

/** What was noticed of a file while it streamed by; small, so that thousands can be kept. */
export interface FileTraits {
  readonly kind: FileKind | null;
  /** The library it comes from, where that is known more closely than its kind says. */
  readonly framework?: string;
  /** Sentences about it without its name, e.g. what a pickle would import. */
  readonly notes: readonly string[];
  /** Whether it begins as a JSON object with a TensorFlow.js topology of its own. */
  readonly namesTopology?: boolean;
  /** Of an ONNX file, what it says apart from its weights. */
  readonly onnx?: ScannedOnnx;
}
