import fc from 'fast-check';

import { StoreError } from '../../../../src/common/errors';
import {
  attr,
  DT,
  field,
  type ForgedFunction,
  type ForgedModel,
  type ForgedNode,
  forgeSavedModel,
  nodeBytes,
  PLACEHOLDER,
  unary,
} from '../../../support/forged-saved-model';
import { faultsOf, type Files, inspectFiles } from '../../../support/inspected-artifact';
import { readArtifact } from '../../../support/loadable';

function forged(model?: ForgedModel, others: Record<string, string> = {}): Files {
  return new Map<string, Uint8Array>([
    ['saved_model.pb', forgeSavedModel(model)],
    ...Object.entries(others).map(([path, text]) => [path, Buffer.from(text)] as const),
  ]);
}

const constant = (name: string): ForgedNode => ({ name, op: 'Const' });
const VARIABLES = {
  'variables/variables.index': 'i',
  'variables/variables.data-00000-of-00001': 'd',
};

describe('inspectSavedModel', () => {
  it.each([
    ['digits-cnn-v1', ['image float32 -1,8,8,1'], ['output_0 float32 -1,10']],
    [
      'digits-multi',
      ['pixels float32 -1,8,8,1', 'stats float32 -1,2'],
      ['output_0 float32 -1,10', 'output_1 float32 -1,1'],
    ],
    ['digits-lstm', ['rows float32 -1,8,8'], ['output_0 float32 -1,10']],
    ['cancer-mlp-norm', ['features float32 -1,30'], ['output_0 float32 -1,1']],
  ])('takes names, types and shapes of %s from its signature', (name, inputs, outputs) => {
    const inspection = inspectFiles(readArtifact(`trained/${name}/saved_model`));

    const { signature } = inspection;
    const texts = (side: 'inputs' | 'outputs'): string[] =>
      signature[side].map((spec) => `${spec.name} ${spec.dtype} ${spec.shape.join()}`);
    expect(inspection).toMatchObject({ format: 'tf-saved-model', outputsComplete: true });
    expect([texts('inputs'), texts('outputs')]).toEqual([inputs, outputs]);
  });

  it('finds the model in a folder of any name', () => {
    const files = new Map(
      [...readArtifact('trained/cancer-mlp/saved_model')].map(([path, bytes]) => [
        `my model/1/${path}`,
        bytes,
      ]),
    );

    expect(inspectFiles(files).entry).toBe('my model/1/saved_model.pb');
  });

  it('takes the only signature for the one to serve, whatever its name', () => {
    expect(inspectFiles(forged({ signature: 'score' })).format).toBe('tf-saved-model');
  });

  it('leaves alone what has nothing of a SavedModel but the name', () => {
    const files = new Map([['saved_model.pb', Buffer.from('hello')]]);

    expect(inspectFiles(files).format).toBe('opaque');
  });

  it.each([
    ['without variables', {}, 'variables/variables.index: the graph has variables'],
    [
      'without one of its shards',
      { 'variables/variables.index': '', 'variables/variables.data-00000-of-00002': '' },
      'variables/variables.data-00001-of-00002: the graph has variables',
    ],
  ])('refuses a SavedModel %s (40)', (_, others, fault) => {
    const variable = { name: 'v', op: 'VarHandleOp' };
    const nodes = [PLACEHOLDER, unary('y', 'Relu'), variable];

    expect(faultsOf(forged({ nodes }, others)).join()).toContain(fault);
  });

  it('refuses a graph that is none, beside variables', () => {
    const files = new Map([
      ['saved_model.pb', Buffer.from('hello')],
      ['variables/variables.index', Buffer.from('i')],
    ]);

    expect(faultsOf(files)[0]).toContain('is no SavedModel');
  });

  it('refuses two models in one artifact, naming both', () => {
    const files = new Map([...forged(), ['b/saved_model.pb', forgeSavedModel()]]);

    expect(faultsOf(files)).toHaveLength(2);
  });

  it('refuses types that the engine cannot take', () => {
    const inputs = { x: { tensor: 'x:0', dtype: DT.double, shape: [-1] } };

    expect(faultsOf(forged({ inputs })).join()).toContain("is of TensorFlow's type 2");
  });

  it('refuses outputs that the engine cannot give', () => {
    const outputs = { y: { tensor: 'y:0', dtype: DT.uint8, shape: [-1] } };

    expect(faultsOf(forged({ outputs })).join()).toContain('the engine gives float32');
  });

  it.each([
    'ReadFile',
    'WriteFile',
    'MatchingFiles',
    'PyFunc',
    'EagerPyFunc',
    'SaveV2',
    'RestoreV2',
    'InitializeTableFromTextFileV2',
    'PrintV2',
    'DumpTensor',
    'ImmutableConst',
    'TFRecordDataset',
    'DebugIdentityV2',
    'LoadAndRemapMatrix',
    'FileSystemSetConfiguration',
    'XlaCallModule',
    'Abort',
    'SomebodysOwnOp',
    'constructor',
  ])('refuses the op %s, naming it (47, 53)', (op) => {
    const hostile: ForgedNode = { name: 'evil', op, inputs: ['x'] };
    const direct = { nodes: [PLACEHOLDER, hostile, unary('y', 'Identity', 'evil')] };
    const waited = {
      nodes: [PLACEHOLDER, hostile, { ...unary('y', 'Relu'), inputs: ['x', '^evil'] }],
    };
    const called = {
      nodes: [PLACEHOLDER, { name: 'y', op: '__inference_f_1', inputs: ['x'] }],
      functions: [{ name: '__inference_f_1', args: ['a'], nodes: [hostile] }],
    };
    const branch = {
      nodes: [
        PLACEHOLDER,
        { name: 'y', op: 'If', inputs: ['x'], attrs: { then_branch: attr.func('then_1') } },
      ],
      functions: [{ name: 'then_1', nodes: [hostile] }],
    };
    const first = { nodes: [PLACEHOLDER, unary('y', 'Relu'), hostile], initOp: 'evil' };

    for (const model of [direct, waited, called, branch, first]) {
      expect(faultsOf(forged(model)).join()).toContain(`the op "${op}"`);
    }
  });

  it('lets stand what nothing that runs can reach: saving checkpoints', () => {
    const save = { name: 'save', op: 'SaveV2', inputs: ['x'] };

    expect(inspectFiles(forged({ nodes: [PLACEHOLDER, unary('y', 'Relu'), save] })).format).toBe(
      'tf-saved-model',
    );
  });

  it('lets variables be restored by the path that the loader feeds, and by no other', () => {
    const restoring = (prefix: string): ForgedModel => ({
      nodes: [
        PLACEHOLDER,
        unary('y', 'Relu'),
        { name: 'file', op: 'Placeholder' },
        constant('made_up'),
        { name: 'restore', op: 'StatefulPartitionedCall', inputs: [prefix], attrs: CALL },
      ],
      functions: [
        {
          name: '__inference_restore_1',
          args: ['prefix'],
          nodes: [
            { name: 'same', op: 'Identity', inputs: ['prefix'] },
            { name: 'read', op: 'RestoreV2', inputs: ['same:output:0', 'n', 's'] },
          ],
        },
      ],
      restoreOp: 'restore',
      filenameTensor: 'file:0',
    });
    const CALL = { f: attr.func('__inference_restore_1') };

    expect(inspectFiles(forged(restoring('file'), VARIABLES)).format).toBe('tf-saved-model');
    expect(faultsOf(forged(restoring('made_up'), VARIABLES)).join()).toContain('"RestoreV2"');
  });

  it('lets tables be filled from assets at the start, and from no other file', () => {
    const filling = (path: string): ForgedModel => ({
      nodes: [
        PLACEHOLDER,
        unary('y', 'Relu'),
        constant('asset'),
        constant('passwd'),
        { name: 'fill', op: 'InitializeTableFromTextFileV2', inputs: ['x', path] },
      ],
      assets: [{ tensor: 'asset:0', filename: 'words.txt' }],
      initOp: 'fill',
    });
    const words = { 'assets/words.txt': 'a' };

    expect(inspectFiles(forged(filling('asset'), words)).format).toBe('tf-saved-model');
    expect(faultsOf(forged(filling('passwd'), words)).join()).toContain('"InitializeTableFrom');
  });

  it.each(['../../etc/passwd', '/etc/passwd', 'a/../../b', '..\\b', 'file:///etc/passwd'])(
    'refuses the asset %s, whatever reads it (39)',
    (filename) => {
      const files = forged({ assets: [{ tensor: 'x:0', filename }] }, { 'assets/a': '' });

      expect(faultsOf(files).join()).toContain('is no path inside the model');
    },
  );

  it('refuses an asset that was not uploaded', () => {
    const files = forged({ assets: [{ tensor: 'x:0', filename: 'words.txt' }] });

    expect(faultsOf(files).join()).toContain('assets/words.txt: this asset was not uploaded');
  });

  it('reads a graph that stands in two parts as TensorFlow does: both count', () => {
    const hidden = field(
      2,
      field(2, field(1, Buffer.concat([field(1, 'y'), field(2, 'ReadFile')]))),
    );
    const first = forgeSavedModel({ nodes: [PLACEHOLDER] });
    // The second message of the graph is merged into the first of the same meta graph.
    const [, meta] = splitMeta(first);
    const bytes = Buffer.concat([field(1, 1), field(2, Buffer.concat([meta, hidden.subarray(2)]))]);

    expect(faultsOf(new Map([['saved_model.pb', bytes]])).join()).toContain('"ReadFile"');
  });

  describe('looks at what TensorFlow would run, however it is hidden', () => {
    const reading = { name: 'evil_fn', nodes: [{ name: 'r', op: 'ReadFile', inputs: ['x'] }] };
    const calling = (name: string, attrs = {}): ForgedNode => ({
      name: 'call',
      op: 'PartitionedCall',
      attrs: { f: attr.func(name, attrs) },
    });
    const given = (nodes: readonly ForgedNode[], functions: readonly ForgedFunction[]): Files =>
      forged({ nodes: [PLACEHOLDER, unary('y', 'Relu', 'call'), ...nodes], functions });

    it('a function that is an attribute of a function', () => {
      const harmless = { name: 'outer_fn', nodes: [] };
      const files = given([calling('outer_fn', { g: attr.func('evil_fn') })], [harmless, reading]);

      expect(faultsOf(files).join()).toContain('"ReadFile"');
    });

    it('an attribute that the caller fills in', () => {
      const inner = { name: 'c', op: 'PartitionedCall', attrs: { f: attr.placeholder('g') } };
      const files = given([calling('outer_fn')], [{ name: 'outer_fn', nodes: [inner] }]);

      expect(faultsOf(files).join()).toContain('left to whoever calls');
    });

    it('another implementation of the function that is called', () => {
      const same = { implements: 'thing' };
      const files = given(
        [calling('good_fn')],
        [
          { name: 'good_fn', nodes: [], ...same },
          { ...reading, ...same },
        ],
      );

      expect(faultsOf(files).join()).toContain('"ReadFile"');
    });

    it('but gives up where each of many implementations stands for all of them (55)', () => {
      const many = Array.from({ length: 1_500 }, (_, index) => `f_${index}`);
      const calls = many.map((name) => ({ ...calling(name), name: `call_${name}` }));
      const files = forged({
        nodes: [
          PLACEHOLDER,
          { ...unary('y', 'Relu'), inputs: ['x', ...calls.map(({ name }) => `^${name}`)] },
          ...calls,
        ],
        functions: many.map((name) => ({ name, implements: 'thing', nodes: [] })),
      });

      expect(faultsOf(files).join()).toContain('would visit more than');
    });

    it('a field whose number has more than 32 bits', () => {
      const node = Buffer.concat([
        nodeBytes(unary('y', 'Relu')),
        // 2 + 2^29 as a field number, of which other readers keep the 2: the op.
        Buffer.from([0x92, 0x80, 0x80, 0x80, 0x10, 8]),
        Buffer.from('ReadFile'),
      ]);
      const meta = Buffer.concat([field(1, field(4, 'serve')), field(2, field(1, node))]);
      const bytes = Buffer.concat([field(1, 1), field(2, meta)]);
      const files = new Map([
        ['saved_model.pb', bytes],
        ['variables/variables.index', Buffer.from('a')],
      ]);

      expect(faultsOf(files).join()).toContain('is no SavedModel: a field has a number');
    });

    it('another output of the node that stands for an asset', () => {
      const model = (path: string): ForgedModel => ({
        nodes: [
          ...[PLACEHOLDER, unary('y', 'Relu'), constant('passwd')],
          { name: 'both', op: 'IdentityN', inputs: ['passwd', 'passwd'] },
          { name: 'fill', op: 'InitializeTableFromTextFileV2', inputs: ['x', path] },
        ],
        assets: [{ tensor: 'both:0', filename: 'words.txt' }],
        initOp: 'fill',
      });
      const words = { 'assets/words.txt': 'a' };

      expect(inspectFiles(forged(model('both'), words)).format).toBe('tf-saved-model');
      expect(faultsOf(forged(model('both:1'), words)).join()).toContain('"InitializeTableFrom');
    });

    it('arguments that a list before them has moved', () => {
      const model = (listArg: string): ForgedModel => ({
        nodes: [
          ...[PLACEHOLDER, unary('y', 'Relu'), constant('asset'), constant('passwd')],
          {
            name: 'call',
            op: 'tab_fn',
            inputs: ['x', 'asset', 'passwd'].slice(0, listArg ? 3 : 2),
          },
        ],
        functions: [
          {
            name: 'tab_fn',
            args: ['l', 'path'],
            listArg,
            nodes: [{ name: 'i', op: 'InitializeTableFromTextFileV2', inputs: ['l', 'path'] }],
          },
        ],
        assets: [{ tensor: 'asset:0', filename: 'words.txt' }],
        initOp: 'call',
      });
      const words = { 'assets/words.txt': 'a' };

      expect(inspectFiles(forged(model(''), words)).format).toBe('tf-saved-model');
      expect(faultsOf(forged(model('l'), words)).join()).toContain('"InitializeTableFrom');
    });

    it('a name that two nodes have', () => {
      const twice = [calling('a_fn'), calling('a_fn')];

      expect(faultsOf(given(twice, [{ name: 'a_fn', nodes: [] }])).join()).toContain(
        'uses one name for several',
      );
    });
  });

  it('refuses functions that are named as ops are', () => {
    const functions = [{ name: 'ReadFile', nodes: [] }];

    expect(faultsOf(forged({ functions })).join()).toContain('named as ops are');
  });

  it('ends with a fault for functions that call themselves (54, 55)', () => {
    const call = { name: 'again', op: '__inference_f_1', inputs: ['a'] };
    const model: ForgedModel = {
      nodes: [PLACEHOLDER, { name: 'y', op: '__inference_f_1', inputs: ['x'] }],
      functions: [{ name: '__inference_f_1', args: ['a'], nodes: [call] }],
    };

    expect(faultsOf(forged(model)).join()).toContain('calls itself');
  });

  it('never fails but by saying why, whatever is changed in a real one', () => {
    const files = readArtifact('trained/cancer-mlp/saved_model');
    const whole = files.get('saved_model.pb')!;
    const edit = fc.record({
      at: fc.nat(whole.length - 1),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const changed = Uint8Array.from(whole);
        for (const { at, bytes } of edits) changed.set(bytes.subarray(0, whole.length - at), at);
        try {
          inspectFiles(new Map([...files, ['saved_model.pb', changed]]));
        } catch (error) {
          expect(error).toBeInstanceOf(StoreError);
        }
      }),
      { numRuns: 200 },
    );
  });
});

/** Header and meta graph of a forged file. */
function splitMeta(bytes: Buffer): [Buffer, Buffer] {
  const header = field(1, 1).length;
  let at = header + 1;
  while ((bytes[at] ?? 0) >= 0x80) at++;
  return [bytes.subarray(0, header), bytes.subarray(at + 1)];
}
