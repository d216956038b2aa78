import { type Engine, type LoadedModel } from '../../src/runtime/engines/engine';
import { ModelUnloadableError } from '../../src/runtime/runtime.errors';
import {
  differences,
  floats,
  floatTensor,
  goldenInputs,
  isClose,
  plainName,
  readGolden,
} from './golden';
import { aVersion, MemorySource, readArtifact } from './loadable';
import { dividedByZero, greaterThanHalf, unknownOp } from './tiny-graphs';

type Files = Map<string, Uint8Array>;

/** What every engine that runs TensorFlow.js models promises. */
export function describeEngine(name: string, open: () => Promise<Engine>): void {
  describe(`${name} engine`, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await open();
    });

    async function load(files: Files, version = {}): Promise<LoadedModel> {
      return await engine.load(aVersion(files, version), new MemorySource(files));
    }

    const models = [
      ['a layers model', 'tfjs/digits-cnn-v1.k2h5'],
      ['a sequential model', 'tfjs/cancer-mlp.k3h5.fixed'],
      ['a layers model with two inputs and two outputs', 'tfjs/digits-multi.k3h5.fixed'],
      ['a layers model inside a layers model', 'tfjs/zoo-nested.k3h5.fixed'],
      ['quantised weights', 'tfjs/digits-cnn-v1.graph-uint8'],
      ['weights in many shards', 'tfjs/digits-cnn-v1.graph-sharded'],
      ['a graph model', 'hm-liveness'],
    ] as const;
    // The first load looks at the weights; later ones decode them to where they belong.
    const loads = [
      ['for the first time', {}],
      ['again', { engines: { wasm: { ok: true } } }],
    ] as const;
    const cases = models.flatMap(([what, folder]) =>
      loads.map(([when, version]) => [what, when, folder, version] as const),
    );

    it.each(cases)(
      'predicts with %s loaded %s as the reference does, and leaves no tensor behind',
      async (_what, _when, folder, version) => {
        const golden = readGolden(folder);
        const before = engine.tensorCount();
        const model = await load(readArtifact(folder), version);
        const loaded = engine.tensorCount();

        const outputs = await model.predict(goldenInputs(golden));

        for (const expected of golden.outputs) {
          expect(differences(outputs[plainName(expected.name)]!, expected)).toEqual([]);
        }
        expect(engine.tensorCount()).toBe(loaded);
        expect(model.bytes).toBeGreaterThan(0);
        await model.dispose();
        expect(engine.tensorCount()).toBe(before);
      },
    );

    it('computes a tanh that a converter wrote into the product before it', async () => {
      // The same model as layers, whose golden run has other names.
      const golden = readGolden('tfjs/digits-multi.k3h5.fixed');
      const model = await load(readArtifact('tfjs/digits-multi.graph'));

      const outputs = await model.predict(goldenInputs(golden));

      const [digit, odd] = golden.outputs;
      expect(differences(outputs['Identity']!, digit!)).toEqual([]);
      expect(differences(outputs['Identity_1']!, odd!)).toEqual([]);
      await model.dispose();
    });

    it("takes and gives tensors under the signature's names", async () => {
      const golden = readGolden('hm-liveness');
      const signature = {
        inputs: [{ name: 'conv2d_1_input', dtype: 'float32' as const, shape: [-1, 32, 32, 3] }],
        outputs: [{ name: 'activation_6', dtype: 'float32' as const, shape: [-1, 2] }],
      };
      const model = await load(readArtifact('hm-liveness'), { signature });

      const outputs = await model.predict(goldenInputs(golden));

      expect(differences(outputs['activation_6']!, golden.outputs[0]!)).toEqual([]);
      await model.dispose();
    });

    it('answers a batch as it answers each of its rows', async () => {
      const model = await load(readArtifact('tfjs/cancer-mlp.k3h5.fixed'));
      const rows = Array.from({ length: 40 }, (_, row) =>
        Array.from({ length: 30 }, (_, column) => Math.sin(row * 31 + column)),
      );

      const { benign_p: batch } = await model.predict({
        features: floatTensor([40, 30], rows.flat()),
      });

      for (const [index, row] of rows.entries()) {
        const { benign_p: single } = await model.predict({ features: floatTensor([1, 30], row) });
        expect(isClose(floats(batch!)[index]!, floats(single!)[0]!)).toBe(true);
      }
      await model.dispose();
    });

    it('lets NaN and infinities through in both directions (84)', async () => {
      const model = await load(dividedByZero());

      const { y } = await model.predict({ x: floatTensor([1, 3], [2, -3, NaN]) });

      expect([...floats(y!)]).toEqual([Infinity, -Infinity, NaN]);
      await model.dispose();
    });

    it('gives truth values as one byte each', async () => {
      const model = await load(greaterThanHalf());

      const { large } = await model.predict({ x: floatTensor([1, 3], [0.1, 0.5, 0.9]) });

      expect(large).toEqual({ dtype: 'bool', shape: [1, 3], data: new Uint8Array([0, 0, 1]) });
      await model.dispose();
    });

    it('reads inputs that do not start at a multiple of four bytes', async () => {
      const model = await load(greaterThanHalf());
      const shifted = new Uint8Array(13);
      shifted.set(floatTensor([1, 3], [0.9, 0.1, 0.6]).data, 1);

      const { large } = await model.predict({
        x: { dtype: 'float32', shape: [1, 3], data: shifted.subarray(1) },
      });

      expect([...large!.data]).toEqual([1, 0, 1]);
      await model.dispose();
    });

    it('keeps no tensors of a training configuration (61)', async () => {
      const files = readArtifact('tfjs/cancer-mlp.k3h5.fixed');
      const json = JSON.parse(new TextDecoder().decode(files.get('model.json'))) as object;
      const trainingConfig = {
        loss: 'binaryCrossentropy',
        metrics: ['accuracy'],
        optimizer_config: { class_name: 'Adam', config: { learning_rate: 0.001 } },
      };
      files.set('model.json', Buffer.from(JSON.stringify({ ...json, trainingConfig })));
      const before = engine.tensorCount();

      const model = await load(files);
      await model.predict({ features: floatTensor([1, 30], new Array<number>(30).fill(0)) });
      await model.dispose();

      expect(engine.tensorCount()).toBe(before);
    });

    it('leaves no tensors behind when loads fail, however often (62b)', async () => {
      const files = readArtifact('tfjs/cancer-mlp.k3h5.fixed');
      const text = new TextDecoder().decode(files.get('model.json'));
      files.set('model.json', Buffer.from(text.replace('h2/kernel', 'nowhere/kernel')));
      const before = engine.tensorCount();

      for (let attempt = 0; attempt < 30; attempt++) {
        await expect(load(files)).rejects.toThrow(ModelUnloadableError);
      }

      expect(engine.tensorCount()).toBe(before);
    });

    it('names an op that it does not know (53)', async () => {
      const model = await load(unknownOp());
      const before = engine.tensorCount();

      const attempt = model.predict({ x: floatTensor([1, 3], [1, 2, 3]) });

      await expect(attempt).rejects.toThrow('Frobnicate');
      await expect(attempt).rejects.toThrow(ModelUnloadableError);
      expect(engine.tensorCount()).toBe(before);
      await model.dispose();
    });

    it('refuses inputs under other names, and goes on serving (67)', async () => {
      const model = await load(greaterThanHalf());

      await expect(model.predict({ z: floatTensor([1, 3], [1, 2, 3]) })).rejects.toThrow('x');

      const { large } = await model.predict({ x: floatTensor([1, 3], [1, 0, 1]) });
      expect([...large!.data]).toEqual([1, 0, 1]);
      await model.dispose();
    });

    it('keeps predictions apart that are asked for at once', async () => {
      const model = await load(greaterThanHalf());

      const answers = await Promise.all(
        [0, 1, 0, 1].map(async (x) => await model.predict({ x: floatTensor([1, 3], [x, 0, 0]) })),
      );

      expect(answers.map(({ large }) => large!.data[0])).toEqual([0, 1, 0, 1]);
      await model.dispose();
    });

    it('says that it does not run an artifact of another kind', async () => {
      await expect(load(greaterThanHalf(), { format: 'onnx' })).rejects.toThrow('onnx');
    });
  });
}
