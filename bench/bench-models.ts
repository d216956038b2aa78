/** A model as files, made for benches: real layers, weights spread as trained ones are. */
export type ModelFiles = Readonly<Record<string, Uint8Array | string>>;

/** A stack of dense layers, e.g. `[30, 64, 32, 1]`; the seed makes the bytes distinct. */
export function denseModel(units: readonly number[], seed: number): ModelFiles {
  const random = normal(seed);
  const specs: { name: string; shape: number[]; dtype: string }[] = [];
  const tensors: Float32Array[] = [];
  const layers = units.slice(1).map((size, index) => {
    const inputs = units[index] ?? 1;
    const name = `dense_${index}`;
    specs.push({ name: `${name}/kernel`, shape: [inputs, size], dtype: 'float32' });
    specs.push({ name: `${name}/bias`, shape: [size], dtype: 'float32' });
    const spread = Math.sqrt(2 / (inputs + size));
    tensors.push(Float32Array.from({ length: inputs * size }, () => random() * spread));
    tensors.push(new Float32Array(size));
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
  const weights = Buffer.concat(
    tensors.map(({ buffer, byteOffset, byteLength }) =>
      Buffer.from(buffer, byteOffset, byteLength),
    ),
  );
  return { 'model.json': JSON.stringify(modelJson), 'weights.bin': weights };
}

export function sizeOf(files: ModelFiles): number {
  return Object.values(files).reduce((sum, content) => sum + Buffer.byteLength(content), 0);
}

export async function uploadModel(url: string, model: string, files: ModelFiles): Promise<number> {
  const form = new FormData();
  for (const [path, content] of Object.entries(files))
    form.append('file', new Blob([content]), path);
  const response = await fetch(`${url}/api/models/${model}/versions`, {
    method: 'POST',
    body: form,
  });
  const body = (await response.json()) as { version: number; error?: string };
  if (response.status !== 201)
    throw new TypeError(`upload: ${response.status} ${body.error ?? ''}`);
  return body.version;
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
