import { readFileSync } from 'node:fs';

import { inspectArtifact } from '../../../../src/formats/inspect-artifact';
import { fixturePath } from '../../../support/fixtures';
import { forgeOnnx, inspectOnnxBytes, ONNX, streamed } from '../../../support/forged-onnx';

describe('inspectOnnx', () => {
  it('takes the signature from the graph, open dimensions as -1', async () => {
    const { format, entry, signature, outputsComplete } = await inspectOnnxBytes(
      forgeOnnx({
        inputs: [
          { name: 'ids:0', type: ONNX.int64, dims: ['n', 'words'] },
          { name: 'half', type: ONNX.float16, dims: ['n', -1] },
          { name: 'k', type: ONNX.double, dims: [] },
        ],
        nodes: [{ op: 'Identity', inputs: ['ids:0'], outputs: ['y'] }],
        outputs: [{ name: 'y', type: ONNX.int64, dims: ['n', 'words'] }],
      }),
    );

    expect([format, entry, outputsComplete]).toEqual(['onnx', 'model.onnx', true]);
    expect(signature).toEqual({
      inputs: [
        { name: 'ids', dtype: 'int64', shape: [-1, -1] },
        { name: 'half', dtype: 'float16', shape: [-1, -1] },
        { name: 'k', dtype: 'float64', shape: [] },
      ],
      outputs: [{ name: 'y', dtype: 'int64', shape: [-1, -1] }],
    });
  });

  it('leaves out inputs that have a value of their own', async () => {
    const { signature } = await inspectOnnxBytes(
      forgeOnnx({
        inputs: [
          { name: 'x', dims: ['n'] },
          { name: 'w', dims: [2] },
        ],
        tensors: [{ name: 'w', dims: [2], floats: [1, 2] }],
        nodes: [{ op: 'Mul', inputs: ['x', 'w'], outputs: ['y'] }],
      }),
    );

    expect(signature.inputs.map(({ name }) => name)).toEqual(['x']);
  });

  it('leaves outputs to the test load whose types the graph does not say', async () => {
    const model = forgeOnnx({ outputs: [{ name: 'y', type: 0, dims: null }] });

    expect(await inspectOnnxBytes(model)).toMatchObject({ outputsComplete: false });
  });

  it('gives a batch to a model that was exported with one row', async () => {
    const one = { dims: [1, 3] };
    const model = { inputs: [{ name: 'x', ...one }], outputs: [{ name: 'y', ...one }] };

    const { signature, warnings } = await inspectOnnxBytes(forgeOnnx(model));

    expect(signature.inputs[0]?.shape).toEqual([-1, 3]);
    expect(signature.outputs[0]?.shape).toEqual([-1, 3]);
    expect(warnings.join()).toMatch(/one row at a time/);
  });

  it('keeps the first dimension of a model whose outputs have other rows than its inputs', async () => {
    const { signature } = await inspectOnnxBytes(
      forgeOnnx({ inputs: [{ name: 'x', dims: [1, 3] }], outputs: [{ name: 'y', dims: [7] }] }),
    );

    expect(signature.inputs[0]?.shape).toEqual([1, 3]);
  });

  it('takes branches, functions and what they use from around them', async () => {
    const branch = (op: string) => ({
      nodes: [{ op, inputs: ['x'], outputs: [op] }],
      outputs: [{ name: op }],
    });
    const model = forgeOnnx({
      opsets: { '': 21, my: 1 },
      tensors: [{ name: 'yes', type: ONNX.bool, raw: Uint8Array.of(1) }],
      nodes: [
        {
          op: 'If',
          inputs: ['yes'],
          outputs: ['z'],
          graphs: { then_branch: branch('Relu'), else_branch: branch('Neg') },
        },
        { op: 'twice', domain: 'my', inputs: ['z'], outputs: ['y'] },
      ],
      functions: [
        {
          name: 'twice',
          domain: 'my',
          inputs: ['a'],
          outputs: ['b'],
          nodes: [{ op: 'Add', inputs: ['a', 'a'], outputs: ['b'] }],
        },
      ],
    });

    expect(await inspectOnnxBytes(model)).toMatchObject({ format: 'onnx' });
  });

  it('knows the model by its content, with other files beside it', async () => {
    const files = await streamed({
      'labels.txt': Buffer.from('cat\ndog\n'),
      'net.bin': forgeOnnx({ producer: 'skl2onnx' }),
      'notes.onnx': Buffer.from('no model'),
    });

    expect(inspectArtifact(files)).toMatchObject({
      format: 'onnx',
      entry: 'net.bin',
      framework: 'scikit-learn',
    });
  });

  it('keeps a model as it is where the metadata say so', async () => {
    const broken = forgeOnnx({ opsets: { '': 99 } });

    expect(await inspectOnnxBytes(broken, { format: 'opaque' })).toMatchObject({
      format: 'opaque',
      framework: 'onnx',
    });
  });

  it.each([
    ['ch_ppocr_mobile_v2.0_cls_infer', { name: 'x', dtype: 'float32', shape: [-1, 3, -1, -1] }],
    ['silero_vad_half', { name: 'input', dtype: 'float32', shape: [-1, -1] }],
  ])('finds the same in %s however its bytes are cut', async (name, input) => {
    const bytes = readFileSync(fixturePath(`onnx/${name}.onnx`));

    const whole = inspectArtifact(await streamed({ m: bytes }, bytes.length));

    expect(whole.signature.inputs[0]).toEqual(input);
    for (const pieceBytes of [977, 64 * 1024]) {
      expect(inspectArtifact(await streamed({ m: bytes }, pieceBytes))).toEqual(whole);
    }
  });
});
