import {
  edited,
  faultsOf,
  type Files,
  inspectFiles,
  type Json,
} from '../../support/inspected-artifact';
import {
  aGraph,
  endlessLoop,
  type GraphNode,
  placeholder,
  unknownOp,
} from '../../support/tiny-graphs';

const NODES = 'model.json: modelTopology.node';
const FUNCTIONS = 'model.json: modelTopology.library.function';

function op(name: string, kind: string, ...input: string[]): GraphNode {
  return { name, op: kind, input };
}

const X = placeholder('x', 'DT_FLOAT', [-1, 3]);

function half(...nodes: readonly GraphNode[]): Files {
  return aGraph([X, ...nodes], [{ name: 'half', value: 0.5 }]);
}

function loop(edit: (functions: Json) => void): Files {
  return edited(endlessLoop(), (json) => {
    edit(json.modelTopology.library.function);
  });
}

describe('inspectArtifact with graphs', () => {
  it('accepts a graph with a loop', () => {
    expect(inspectFiles(endlessLoop())).toMatchObject({
      format: 'tfjs-graph',
      signature: {
        inputs: [{ name: 'x', dtype: 'float32', shape: [1] }],
        outputs: [{ name: 'y' }],
      },
      outputsComplete: false,
    });
  });

  it('refuses an op that the library does not have, naming op and node (53)', () => {
    expect(faultsOf(unknownOp())).toEqual([
      `${NODES}[1].op: the op of the node "y" is "Frobnicate", which TensorFlow.js does not have`,
    ]);
  });

  it.each(['constructor', '__proto__', 'toString'])('refuses %s as an op (53)', (kind) => {
    expect(faultsOf(half(op('y', kind, 'x')))[0]).toContain(`is "${kind}"`);
  });

  it('refuses an unknown op inside a function (53)', () => {
    const files = loop((functions) => (functions[1].nodeDef[0].op = 'Frobnicate'));

    expect(faultsOf(files)[0]).toContain(`${FUNCTIONS}[1].nodeDef[0].op: `);
  });

  it('refuses nodes that wait for each other (54)', () => {
    const files = half(op('a', 'Add', 'x', 'b'), op('b', 'Abs', 'a'));

    expect(faultsOf(files)).toContain(`${NODES}: nodes wait for each other: "a", "b"`);
  });

  it('accepts the loop of NextIteration, which is meant', () => {
    const files = half(
      op('enter', 'Enter', 'x'),
      op('merge', 'Merge', 'enter', 'next'),
      op('next', 'NextIteration', 'merge'),
      op('exit', 'Exit', 'merge'),
    );

    expect(inspectFiles(files).signature.outputs.map(({ name }) => name)).toEqual(['half', 'exit']);
  });

  it('refuses an input that is not there (54)', () => {
    expect(faultsOf(half(op('y', 'Add', 'x', '^gone', 'lost:1')))).toEqual([
      `${NODES}[2].input[1]: there is no node "gone"`,
      `${NODES}[2].input[2]: there is no node "lost"`,
    ]);
  });

  it('refuses a constant without a weight (54)', () => {
    expect(faultsOf(half(op('c', 'Const'), op('y', 'Add', 'x', 'c')))).toEqual([
      `${NODES}[2]: the manifest has no weight for the constant "c"`,
    ]);
  });

  it('refuses an output that is not in the graph (54)', () => {
    const files = edited(half(op('y', 'Add', 'x', 'half')), (json) => {
      json.signature = { outputs: { y: { name: 'gone:0' } } };
    });

    expect(faultsOf(files)).toEqual([
      'model.json: signature.outputs["y"]: the output "gone" is no node of the graph',
    ]);
  });

  it('refuses functions that come back to themselves (54)', () => {
    const files = loop((functions) => {
      functions[1].nodeDef.push({
        name: 'again',
        op: 'StatelessWhile',
        input: ['v'],
        attr: { cond: { func: { name: 'goes_on' } }, body: { func: { name: 'again' } } },
      });
    });

    expect(faultsOf(files)).toEqual([`${FUNCTIONS}: functions call each other: "again"`]);
  });

  it('refuses a function that is not there, and an output that comes from nowhere (54)', () => {
    const files = loop((functions) => {
      functions[0].signature.name = 'other';
      functions[1].ret = {};
    });

    expect(faultsOf(files)).toEqual([
      `${FUNCTIONS}[1].ret: the output "out" comes from no node`,
      `${NODES}[1].attr: there is no function "goes_on"`,
    ]);
  });

  it.each(['', '__proto__', 'constructor', 'hasOwnProperty', 'a\u001bb'])(
    'refuses a node called %p (45)',
    (name) => {
      expect(faultsOf(half(op(name, 'Abs', 'x')))[0]).toContain(`${NODES}[2].name: `);
    },
  );

  it('refuses two nodes of one name (45)', () => {
    expect(faultsOf(half(op('y', 'Abs', 'x'), op('y', 'Neg', 'x')))).toEqual([
      `${NODES}[3].name: two nodes are called "y"`,
    ]);
  });

  it('refuses more than 100,000 nodes over graph and functions (52)', () => {
    const many = Array.from({ length: 99_999 }, (_, index) => op(`n${index}`, 'Abs', 'x'));

    expect(faultsOf(half(...many))[0]).toContain(`${NODES}: there are more nodes`);
  });

  it('follows a chain of 90,000 nodes without running out of stack', () => {
    const chain = Array.from({ length: 90_000 }, (_, index) =>
      op(`n${index}`, 'Abs', index === 0 ? 'x' : `n${index - 1}`),
    );

    const { signature } = inspectFiles(aGraph([X, ...chain.reverse()]));

    expect(signature.outputs.map(({ name }) => name)).toEqual(['n89999']);
  });

  it('refuses a graph that nothing can be fed to', () => {
    expect(faultsOf(aGraph([], [{ name: 'half', value: 0.5 }]))[0]).toContain('no placeholder');
  });

  it('refuses a graph without versions, which the loader needs', () => {
    const files = edited(half(op('y', 'Abs', 'x')), (json) => delete json.modelTopology.versions);

    expect(faultsOf(files)[0]).toContain('model.json: modelTopology.versions: ');
  });

  it('checks the initializer as well', () => {
    const files = edited(half(op('y', 'Abs', 'x')), (json) => {
      json.modelInitializer = { node: [{ name: 'i', op: 'Frobnicate' }] };
    });

    expect(faultsOf(files)[0]).toContain('model.json: modelInitializer.node[0].op: ');
  });
});

describe('the signature of a graph', () => {
  it('takes what the placeholder enforces over what the signature says', () => {
    const files = edited(half(op('y', 'Add', 'x', 'half')), (json) => {
      json.signature = {
        inputs: {
          picture: {
            name: 'x:0',
            dtype: 'DT_UINT8',
            tensorShape: { dim: [{ size: '8' }, { size: '4' }] },
          },
        },
        outputs: {
          result: { name: 'y:0', dtype: 'DT_UINT8', tensorShape: { dim: [{ size: '-1' }] } },
        },
      };
    });

    expect(inspectFiles(files)).toMatchObject({
      signature: {
        inputs: [{ name: 'x', dtype: 'float32', shape: [8, 3] }],
        outputs: [{ name: 'y', dtype: 'int32', shape: [-1] }],
      },
      outputsComplete: true,
    });
  });

  it('tells two outputs of one node apart, and takes one tensor once', () => {
    const files = edited(half(op('y', 'TopKV2', 'x', 'half')), (json) => {
      json.signature = {
        outputs: { a: { name: 'y:0' }, b: { name: 'y:1' }, c: { name: 'y' } },
      };
    });

    expect(inspectFiles(files).signature.outputs.map(({ name }) => name)).toEqual(['y', 'y:1']);
  });

  it('passes over an input that the converter dropped, with a warning', () => {
    const files = edited(half(op('y', 'Add', 'x', 'half')), (json) => {
      json.signature = { inputs: { x: { name: 'x:0' }, mask: { name: 'mask:0' } } };
    });

    const { signature, warnings } = inspectFiles(files);

    expect(signature.inputs.map(({ name }) => name)).toEqual(['x']);
    expect(warnings).toEqual(['The graph does not use the input "mask" of its signature']);
  });

  it('asks the uploader for a shape that stands nowhere, and takes the answer', () => {
    const files = edited(half(op('y', 'Add', 'x', 'half')), (json) => {
      json.modelTopology.node[1].attr.shape = { shape: { unknownRank: true } };
    });
    const spec = { name: 'x', dtype: 'float32', shape: [-1, 5] } as const;

    expect(faultsOf(files)[0]).toContain('the shape of the input "x" is not known');
    expect(
      inspectFiles(files, { signature: { inputs: [spec], outputs: [] } }).signature.inputs,
    ).toEqual([spec]);
  });

  it.each([
    [
      { name: 'z', dtype: 'float32', shape: [-1, 3] },
      `metadata.signature.inputs[0]: the model's inputs are "x"`,
    ],
    [
      { name: 'x', dtype: 'int32', shape: [-1, 3] },
      'metadata.signature.inputs[0].dtype: the model says float32',
    ],
    [
      { name: 'x', dtype: 'float32', shape: [-1, 4] },
      'metadata.signature.inputs[0].shape: the model says [-1, 3]',
    ],
  ] as const)('refuses a stated signature that contradicts the model: %j', (spec, fault) => {
    const signature = { inputs: [spec], outputs: [] };

    expect(faultsOf(half(op('y', 'Add', 'x', 'half')), { signature })).toEqual([fault]);
  });
});
