import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A model as files by path. */
export type ModelFiles = Readonly<Record<string, Buffer>>;

/** A stack of dense layers, e.g. `[30, 64, 32, 1]`, whose weights are spread as trained ones are. */
export function denseModel(units: readonly number[]): ModelFiles {
  const random = normal(7);
  const specs: { name: string; shape: number[]; dtype: string }[] = [];
  const tensors: Float32Array[] = [];
  const layers = units.slice(1).map((size, index) => {
    const inputs = units[index] ?? 1;
    const name = `dense_${index}`;
    specs.push({ name: `${name}/kernel`, shape: [inputs, size], dtype: 'float32' });
    specs.push({ name: `${name}/bias`, shape: [size], dtype: 'float32' });
    const deviation = Math.sqrt(2 / (inputs + size));
    tensors.push(Float32Array.from({ length: inputs * size }, () => random() * deviation));
    tensors.push(Float32Array.from({ length: size }, () => random() * 0.01));
    return {
      class_name: 'Dense',
      config: {
        name,
        units: size,
        activation: index === units.length - 2 ? 'sigmoid' : 'relu',
        use_bias: true,
        dtype: 'float32',
        ...(index === 0 ? { batch_input_shape: [null, inputs] } : {}),
      },
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

/** A trained model of the shared test material, or null where that is not at hand. */
export function fixtureModel(name: string): ModelFiles | null {
  const root = process.env['GRIDSTOW_FIXTURES'] ?? join(__dirname, '../../../shared/fixtures');
  const folder = join(root, name);
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
