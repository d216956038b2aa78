import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A model as files by path. */
export type ModelFiles = Readonly<Record<string, Buffer>>;

/** A stack of dense layers, e.g. `[30, 64, 32, 1]`, whose weights are spread as trained ones are. */
export function denseModel(units: readonly number[]): ModelFiles {
  return stackedModel(
    units.slice(1).map((size, index) => ({
      class_name: 'Dense',
      kernel: [units[index] ?? 1, size],
      config: {
        name: `dense_${index}`,
        units: size,
        activation: index === units.length - 2 ? 'sigmoid' : 'relu',
        ...(index === 0 ? { batch_input_shape: [null, units[0]] } : {}),
      },
    })),
  );
}

/** The small conv net of every first lesson: gray images of 28x28, ten classes. */
export function convModel(): ModelFiles {
  const conv = (name: string, filters: number, more = {}): object => ({
    ...{ name, filters, kernel_size: [3, 3], strides: [1, 1], padding: 'valid' },
    ...{ data_format: 'channels_last', dilation_rate: [1, 1], activation: 'relu', ...more },
  });
  const pool = (name: string): Layer => ({
    class_name: 'MaxPooling2D',
    config: { name, pool_size: [2, 2], strides: [2, 2], padding: 'valid' },
  });
  const input = { batch_input_shape: [null, 28, 28, 1] };
  return stackedModel([
    { class_name: 'Conv2D', kernel: [3, 3, 1, 32], config: conv('conv_0', 32, input) },
    pool('pool_0'),
    { class_name: 'Conv2D', kernel: [3, 3, 32, 64], config: conv('conv_1', 64) },
    pool('pool_1'),
    { class_name: 'Flatten', config: { name: 'flatten' } },
    {
      class_name: 'Dense',
      kernel: [1600, 128],
      config: { name: 'dense_0', units: 128, activation: 'relu' },
    },
    {
      class_name: 'Dense',
      kernel: [128, 10],
      config: { name: 'dense_1', units: 10, activation: 'softmax' },
    },
  ]);
}

interface Layer {
  readonly class_name: string;
  readonly config: object;
  /** Shape of the kernel, where it has one; a bias goes with it. */
  readonly kernel?: readonly number[];
}

function stackedModel(stack: readonly Layer[]): ModelFiles {
  const random = normal(7);
  const specs: { name: string; shape: number[]; dtype: string }[] = [];
  const tensors: Float32Array[] = [];
  const layers = stack.map(({ class_name, kernel, config }) => {
    if (kernel) {
      const { name } = config as { name: string };
      const outputs = kernel.at(-1) ?? 1;
      const size = kernel.reduce((product, dimension) => product * dimension, 1);
      specs.push({ name: `${name}/kernel`, shape: [...kernel], dtype: 'float32' });
      specs.push({ name: `${name}/bias`, shape: [outputs], dtype: 'float32' });
      const deviation = Math.sqrt(2 / (size / outputs + outputs));
      tensors.push(Float32Array.from({ length: size }, () => random() * deviation));
      tensors.push(Float32Array.from({ length: outputs }, () => random() * 0.01));
    }
    return {
      class_name,
      config: { ...config, dtype: 'float32', ...(kernel ? { use_bias: true } : {}) },
    };
  });
  const modelJson = {
    format: 'layers-model',
    generatedBy: 'bench',
    convertedBy: null,
    modelTopology: {
      keras_version: '2.15.0',
      backend: 'tensorflow',
      model_config: { class_name: 'Sequential', config: { name: 'bench', layers } },
    },
    weightsManifest: [{ paths: ['weights.bin'], weights: specs }],
  };
  return {
    'model.json': Buffer.from(JSON.stringify(modelJson)),
    'weights.bin': Buffer.concat(tensors.map(({ buffer }) => Buffer.from(buffer))),
  };
}

const FIXTURES = process.env['GRIDSTOW_FIXTURES'] ?? join(__dirname, '../../../shared/fixtures');

/** The tfjs models of the shared test material that load as they are; none where it is not at hand. */
export function fixtureModels(): readonly string[] {
  return ['', 'tfjs/']
    .flatMap((prefix) => {
      const folder = join(FIXTURES, prefix);
      return existsSync(folder) ? readdirSync(folder).map((name) => `${prefix}${name}`) : [];
    })
    .filter((name) => existsSync(join(FIXTURES, name, 'model.json')))
    .sort();
}

/** A trained model of the shared test material, or null where that is not at hand. */
export function fixtureModel(name: string): ModelFiles | null {
  const folder = join(FIXTURES, name);
  if (!existsSync(join(folder, 'model.json'))) return null;
  const paths = readdirSync(folder).filter((path) => path !== 'golden.json');
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(folder, path))]));
}

/**
 * The same model with other weights of the same spread: each weight file turned by some bytes.
 *
 * No store can then answer from what it has, not even per tensor.
 */
export function withFreshWeights(files: ModelFiles, round: number): ModelFiles {
  return Object.fromEntries(
    Object.entries(files).map(([path, content]) => {
      if (path === 'model.json') return [path, content];
      // A multiple of four, so that float32 values stay whole.
      const turn = (round * 4 * 10_007) % content.length;
      return [path, Buffer.concat([content.subarray(turn), content.subarray(0, turn)])];
    }),
  );
}

export function weightsOf(files: ModelFiles): Buffer {
  return Buffer.concat(
    Object.keys(files)
      .filter((path) => path !== 'model.json')
      .sort()
      .map((path) => files[path]!),
  );
}

export function mebibytes(bytes: number): number {
  return bytes / 1024 ** 2;
}

/** Numbers of a normal distribution (Box-Muller over mulberry32). */
function normal(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
