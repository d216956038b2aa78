import { type Tensor } from '../../src/common/tensor';
import { bootService, type BootedService } from '../support/boot';
import {
  differences,
  floats,
  goldenInputs,
  listGoldenModels,
  plainName,
  readGolden,
} from '../support/golden';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

/** What one engine alone lacks; others may refuse more. */
const LACKING: Record<string, Record<string, RegExp>> = {
  wasm: {
    'tfjs/zoo-mha.graph': /wasm engine has no Einsum/,
    'tfjs/digits-lstm.graph-cfv2': /Cannot read properties of undefined/,
  },
};

/** Outputs that depend on the order in which an engine keeps boxes of equal score. */
const ENGINE_DEPENDENT: Record<string, RegExp> = { 'hm-handtrack': /^Identity(_[1-5])?$/ };

const choice = process.env['GRIDSTOW_ENGINE'] ?? 'auto';
let service: BootedService;

beforeAll(async () => {
  // The reference engine needs half a minute for the largest of the models.
  service = await bootService({ GRIDSTOW_PREDICT_TIMEOUT_MS: '240000' });
});

afterAll(async () => {
  await service.close();
});

function toNested({ shape, ...tensor }: Tensor): unknown {
  const values = floats({ shape, ...tensor });
  const build = (axis: number, offset: number, stride: number): unknown => {
    if (axis === shape.length) return values[offset];
    const size = shape[axis] ?? 1;
    const step = stride / size;
    return Array.from({ length: size }, (_, i) => build(axis + 1, offset + i * step, step));
  };
  return build(0, 0, values.length);
}

function toTensor(nested: unknown, dtype: string): Tensor {
  const shape: number[] = [];
  for (let level = nested; Array.isArray(level); level = level[0]) shape.push(level.length);
  const flat = [nested].flat(Infinity) as number[];
  const data =
    dtype === 'int32'
      ? new Uint8Array(Int32Array.from(flat).buffer)
      : new Uint8Array(Float32Array.from(flat, Number).buffer);
  return { dtype: dtype === 'int32' ? 'int32' : 'float32', shape, data };
}

describe('a model uploaded and asked over REST', () => {
  it.each(listGoldenModels())(
    'answers as the reference does, or is refused for what its engine lacks: %s',
    async (folder) => {
      const golden = readGolden(folder);
      const model = folder.replace(/[^A-Za-z0-9.-]/g, '-');
      const { status, body } = await upload(service.url, model, fixtureFiles(folder));
      const lacking = LACKING[choice]?.[folder];
      if (status === 422 || lacking) {
        expect([status, body.code]).toEqual([422, 'version_rejected']);
        expect(body.error).toMatch(lacking ?? /has no [A-Z]\w+|Cannot|not/);
        expect(choice).not.toBe('auto');
        return;
      }
      expect([status, body.state]).toEqual([201, 'ready']);
      const inputs = Object.fromEntries(
        Object.entries(goldenInputs(golden)).map(([name, tensor]) => [name, toNested(tensor)]),
      );

      const answer = await sendJson('POST', `${service.url}/api/models/${model}/predict`, {
        inputs,
      });

      expect(answer.body.error).toBeUndefined();
      const engine = Object.entries<{ ok: boolean }>(body.engines).find(([, { ok }]) => ok)?.[0];
      for (const expected of golden.outputs) {
        const name = plainName(expected.name);
        if (engine !== 'cpu' && ENGINE_DEPENDENT[folder]?.test(name)) continue;
        const actual = toTensor(answer.body.outputs[name], expected.dtype);
        expect({ name, found: differences(actual, expected) }).toEqual({ name, found: [] });
        const declared = body.signature.outputs.find((output: any) => output.name === name);
        expect(declared?.shape.length).toBe(expected.shape.length);
      }
      const record = await sendJson(
        'GET',
        `${service.url}/api/predictions/${answer.body.predictionId}`,
      );
      expect(record.body).toMatchObject({ status: 'ok', version: 1, digest: body.digest });
    },
    300_000,
  );
});
