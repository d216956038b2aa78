import fc from 'fast-check';

import {
  forgeOnnx,
  type ForgedModel,
  type ForgedNode,
  inspectOnnxBytes,
  ONNX,
  onnxFaults,
  streamed,
} from '../../../support/forged-onnx';
import { InvalidArtifactError } from '../../../../src/formats/formats.errors';
import { inspectArtifact } from '../../../../src/formats/inspect-artifact';
import { ProtobufWriter } from '../../../../src/runtime/compile/protobuf-writer';

const relu = (name: string, input: string, output: string): ForgedNode => ({
  op: 'Relu',
  name,
  inputs: [input],
  outputs: [output],
});
const body = { nodes: [relu('in', 'x', 'z')], outputs: [{ name: 'z' }] };
const call = (name: string, domain = 'my', input = 'x', output = 'y'): ForgedNode => ({
  op: name,
  domain,
  inputs: [input],
  outputs: [output],
});

const REFUSED: [what: string, model: ForgedModel, fault: RegExp][] = [
  [
    'weights in another file',
    { tensors: [{ name: 'w', dims: [2], external: '../../etc/passwd' }] },
    /the tensor "w" of the graph keeps its numbers in another file.*external_data=False/,
  ],
  [
    'a constant in another file',
    {
      nodes: [
        {
          op: 'Constant',
          name: 'c',
          outputs: ['y'],
          tensors: { value: { name: '', external: 'w' } },
        },
      ],
    },
    /a tensor of the node "c" \(Constant\) keeps its numbers in another file/,
  ],
  [
    'an operator of somebody’s own',
    { nodes: [{ ...relu('mine', 'x', 'y'), domain: 'my.ops' }] },
    /the node "mine" \(Relu\) is an operator of the domain "my\.ops"; custom operators/,
  ],
  [
    'a loop',
    { nodes: [{ ...relu('round', 'x', 'y'), op: 'Loop', graphs: { body } }] },
    /the node "round" \(Loop\) is a loop.*unroll/,
  ],
  [
    'a scan in a branch',
    {
      nodes: [
        {
          op: 'If',
          name: 'which',
          inputs: ['x'],
          outputs: ['y'],
          graphs: {
            then_branch: body,
            else_branch: {
              nodes: [{ ...relu('s', 'x', 'z'), op: 'Scan' }],
              outputs: [{ name: 'z' }],
            },
          },
        },
      ],
    },
    /the node "s" \(Scan\) of a branch of the node "which" \(If\) is a loop/,
  ],
  [
    'a loop in a function',
    {
      nodes: [call('f')],
      functions: [
        {
          name: 'f',
          domain: 'my',
          inputs: ['a'],
          outputs: ['b'],
          nodes: [{ ...relu('l', 'a', 'b'), op: 'Loop' }],
        },
      ],
    },
    /the node "l" \(Loop\) of the function "f" is a loop/,
  ],
  [
    'a function that is called like a loop',
    {
      nodes: [call('Loop', '')],
      functions: [
        { name: 'Loop', domain: '', inputs: ['a'], outputs: ['b'], nodes: [relu('l', 'a', 'b')] },
      ],
    },
    /\(Loop\) is a loop/,
  ],
  [
    'another operator that runs a graph',
    {
      nodes: [
        {
          ...relu('b', 'x', 'y'),
          op: 'BeamSearch',
          domain: 'com.microsoft',
          graphs: { decoder: body },
        },
      ],
    },
    /runs a graph of its own, which only If may/,
  ],
  [
    'functions that call each other',
    {
      nodes: [call('f')],
      functions: ['f', 'g'].map((name) => ({
        name,
        domain: 'my',
        inputs: ['a'],
        outputs: ['b'],
        nodes: [call(name === 'f' ? 'g' : 'f', 'my', 'a', 'b')],
      })),
    },
    /functions call each other/,
  ],
  [
    'functions that multiply',
    {
      nodes: [call('f9')],
      functions: Array.from({ length: 10 }, (_, level) => ({
        name: `f${level}`,
        domain: 'my',
        inputs: ['a'],
        outputs: ['v9'],
        nodes: Array.from({ length: 10 }, (_item, index) =>
          level === 0 ? relu('', 'a', `v${index}`) : call(`f${level - 1}`, 'my', 'a', `v${index}`),
        ),
      })),
    },
    /its functions make more than 500000 nodes of it/,
  ],
  [
    'an operator set that is too new',
    { opsets: { '': 99 } },
    /opset 99 of ai\.onnx; 7 to 26 run here/,
  ],
  ['an operator set that is too old', { opsets: { '': 1 } }, /opset 1 of ai\.onnx/],
  [
    'a newer operator set of machine learning',
    { opsets: { '': 21, 'ai.onnx.ml': 9 } },
    /opset 9 of ai\.onnx\.ml; 1 to 5 run here/,
  ],
  ['no operator set', { opsets: {} }, /for no operator set/],
  ['a file format that is too new', { ir: 99 }, /IR version 99; 13 is the newest/],
  [
    'a sequence as an output',
    { outputs: [{ name: 'y', kind: 'sequence' }] },
    /the output "y" is no tensor.*'zipmap': False/,
  ],
  [
    'a type that has no plain form',
    { inputs: [{ name: 'x', type: ONNX.int8, dims: [2] }] },
    /the input "x" is of the type int8; served are float/,
  ],
  [
    'a dimension of zero',
    { inputs: [{ name: 'x', dims: [0, 2] }] },
    /"x" has impossible dimensions: 0/,
  ],
  ['a negative dimension', { inputs: [{ name: 'x', dims: [-5] }] }, /impossible dimensions: -5/],
  ['a huge dimension', { outputs: [{ name: 'y', dims: [2 ** 40] }] }, /impossible dimensions/],
  [
    'an input of a terabyte',
    { inputs: [{ name: 'x', dims: ['n', 2 ** 20, 2 ** 20] }] },
    /cannot be fed: one row would have more than/,
  ],
  [
    'fewer bytes than dimensions',
    { tensors: [{ name: 'w', dims: [1000, 1000], raw: new Uint8Array(4) }] },
    /the tensor "w" of the graph holds 4 bytes, its dimensions \[1000, 1000\] ask for 4000000/,
  ],
  [
    'fewer numbers than dimensions',
    { tensors: [{ name: 'w', dims: [3], floats: [1] }] },
    /holds 1 elements, its dimensions \[3\] ask for 3/,
  ],
  [
    'numbers of another type',
    { tensors: [{ name: 'w', dims: [1], longs: [1] }] },
    /is of the type float and holds numbers of another/,
  ],
  [
    'numbers twice',
    { tensors: [{ name: 'w', dims: [1], floats: [1], raw: new Uint8Array(4) }] },
    /has its numbers twice/,
  ],
  [
    'dimensions whose product overflows',
    { tensors: [{ name: 'w', dims: [2 ** 31 - 1, 2 ** 31 - 1, 4], raw: new Uint8Array(4) }] },
    /product of the dimensions is too large/,
  ],
  [
    'a tensor with a negative dimension',
    { tensors: [{ name: 'w', dims: [-1] }] },
    /-1 is no dimension/,
  ],
  ['a tensor of an unknown type', { tensors: [{ name: 'w', type: 77 }] }, /of the ONNX type 77/],
  [
    'a sparse tensor that opens to a terabyte',
    { sparse: [{ values: { name: 's', dims: [1], floats: [1] }, dims: [2 ** 20, 2 ** 20] }] },
    /would take more than 2147483648 bytes/,
  ],
  [
    'nodes that wait for each other',
    { nodes: [relu('a', 'two', 'one'), relu('b', 'one', 'two'), relu('c', 'one', 'y')] },
    /nodes wait for each other: the node "[ab]" \(Relu\), the node "[ab]" \(Relu\)/,
  ],
  [
    'nodes that wait for each other through a branch',
    {
      nodes: [
        {
          op: 'If',
          name: 'which',
          inputs: ['x'],
          outputs: ['y'],
          graphs: { then_branch: { outputs: [{ name: 'y' }] }, else_branch: body },
        },
      ],
    },
    /nodes wait for each other: the node "which"/,
  ],
  [
    'inputs from nowhere',
    { nodes: [relu('lost', 'ghost', 'y')] },
    /the node "lost" \(Relu\) takes "ghost", which nothing gives/,
  ],
  ['outputs from nowhere', { nodes: [relu('a', 'x', 'z')] }, /the output "y", which nothing gives/],
  [
    'one name for two results',
    { nodes: [relu('a', 'x', 'y'), relu('b', 'x', 'y')] },
    /the node "b" \(Relu\) gives "y", which stands there already/,
  ],
  [
    'one name for two tensors',
    { tensors: ['w', 'w'].map((name) => ({ name, dims: [1], floats: [1] })) },
    /two tensors of the graph are called "w"/,
  ],
  ['one name for two inputs', { inputs: [{ name: 'x' }, { name: 'x' }] }, /two inputs .* "x"/],
  [
    'names that are one without :0',
    {
      inputs: [
        { name: 'x', dims: [2] },
        { name: 'x:0', dims: [2] },
      ],
    },
    /called as another one/,
  ],
  [
    'a name that every object has',
    {
      inputs: [
        { name: 'x', dims: [2] },
        { name: '__proto__', dims: [2] },
      ],
    },
    /cannot be served: the name __proto__/,
  ],
  [
    'no inputs',
    { inputs: [], tensors: [{ name: 'x', dims: [1], floats: [1] }] },
    /takes no inputs/,
  ],
  [
    'an input of unknown rank',
    { inputs: [{ name: 'x', dims: null }] },
    /shape of the input "x" is not known/,
  ],
];

describe('inspectOnnx', () => {
  it.each(REFUSED)('refuses %s, and says where', async (_what, model, fault) => {
    expect((await onnxFaults(forgeOnnx(model))).join('\n')).toMatch(fault);
  });

  it('refuses two models in one upload', async () => {
    const files = await streamed({ 'a.onnx': forgeOnnx(), 'b.onnx': forgeOnnx() });

    expect(() => inspectArtifact(files)).toThrow(/one of 2 ONNX models.*"format": "opaque"/);
  });

  it('refuses a file that was cut short anywhere behind its first fields', async () => {
    const whole = forgeOnnx({ tensors: [{ name: 'w', dims: [64], raw: new Uint8Array(256) }] });
    // Where the last field, the operator set, is cut off as a whole, a model without one is left.
    for (let end = 20; end < whole.length; end++) {
      const faults = (await onnxFaults(whole.subarray(0, end))).join();
      expect(faults).toMatch(/ends in the middle|for no operator set/);
    }
  });

  it('refuses graphs within graphs beyond any depth', async () => {
    let graph = new ProtobufWriter();
    for (let depth = 0; depth < 200; depth++) {
      const attribute = new ProtobufWriter().string(1, 'then_branch').message(6, graph);
      graph = new ProtobufWriter().message(
        1,
        new ProtobufWriter().string(4, 'If').message(5, attribute),
      );
    }
    const bytes = new ProtobufWriter().int(1, 8).message(7, graph).finish();

    expect((await onnxFaults(bytes)).join()).toMatch(/nested deeper than 100 levels/);
  });

  it('refuses more nodes than any model has before they fill the memory', async () => {
    const emptyNodes = Buffer.alloc(2_000_002).fill('0a00', 'hex');
    const bytes = new ProtobufWriter().int(1, 8).bytes(7, emptyNodes).finish();

    expect((await onnxFaults(bytes)).join()).toMatch(/more nodes and names than any model/);
  });

  it.each([
    ['a field that is longer than its message', [0x0a, 0x7f, 0x0a]],
    ['a number without an end', [0x10, ...Array.from({ length: 10 }, () => 0xff)]],
    ['a kind that is not in use', [0x0b]],
    ['a name that is not UTF-8', [0x0a, 0x04, 0x0a, 0x02, 0xff, 0xff]],
    ['a name of megabytes', [0x0a, 0x84, 0x80, 0x40, 0x0a, 0x80, 0x80, 0x40]],
  ])('refuses %s', async (_what, graph) => {
    const inner = Uint8Array.from([0x0a, 0x00, ...graph, ...new Uint8Array(1_048_700)]);
    const bytes = new ProtobufWriter().int(1, 8).bytes(7, inner).finish();

    expect((await onnxFaults(bytes)).join()).toMatch(/is no whole ONNX model/);
  });

  it('refuses a graph that stands there twice, which readers would merge', async () => {
    const half = new ProtobufWriter().message(1, new ProtobufWriter().string(4, 'Relu'));
    const bytes = new ProtobufWriter().int(1, 8).message(7, half).message(7, half).finish();

    expect((await onnxFaults(bytes)).join()).toMatch(/stands once stands there twice/);
  });

  it('knows nothing of a file that ONNX Runtime would take for its own format', async () => {
    const bytes = forgeOnnx({ producer: 'ORTM' });

    expect(Buffer.from(bytes.subarray(4, 8)).toString()).toBe('ORTM');
    expect((await inspectOnnxBytes(bytes)).format).toBe('opaque');
  });

  it('accepts or refuses whatever bytes there are, and never fails at them', async () => {
    const whole = forgeOnnx({
      opsets: { '': 21, my: 1 },
      tensors: [{ name: 'w', dims: [2], floats: [1, 2] }],
      sparse: [{ values: { name: 's', dims: [1], floats: [1] }, dims: [4] }],
      nodes: [
        {
          op: 'If',
          name: 'which',
          inputs: ['w'],
          outputs: ['a'],
          graphs: { then_branch: body, else_branch: body },
        },
        { op: 'f', domain: 'my', inputs: ['a'], outputs: ['y'] },
      ],
      functions: [
        { name: 'f', domain: 'my', inputs: ['a'], outputs: ['b'], nodes: [relu('l', 'a', 'b')] },
      ],
    });
    expect((await inspectOnnxBytes(whole)).format).toBe('onnx');
    const places = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(places, async (edits) => {
        const bytes = whole.slice();
        for (const [at, byte] of edits) bytes[at] = byte;
        try {
          expect(['onnx', 'opaque']).toContain((await inspectOnnxBytes(bytes)).format);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArtifactError);
        }
      }),
      { numRuns: 1500 },
    );
  });
});
