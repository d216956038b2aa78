import { inspectArtifact, wantsContent } from '../../../src/formats/inspect-artifact';
import {
  aDenseModel,
  faultsOf,
  type Files,
  inspected,
  inspectFiles,
  withJson,
} from '../../support/inspected-artifact';

const NOTHING = { inputs: [], outputs: [] };

function bytes(...parts: readonly (string | readonly number[])[]): Uint8Array {
  return Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Uint8Array.from(part))),
  );
}

function modelJson(content: Uint8Array): Files {
  return new Map([...aDenseModel(), ['model.json', content]]);
}

describe('inspectArtifact', () => {
  it('keeps what nothing recognises, and says that nothing did', () => {
    const inspection = inspectFiles(new Map([['readme.txt', bytes('hello')]]));

    expect(inspection).toMatchObject({ format: 'opaque', entry: 'readme.txt', signature: NOTHING });
    expect(inspection.warnings).toEqual([
      'Nothing here was recognised as a model: the files are kept as they are',
    ]);
  });

  it('stores even a model as opaque when told to', () => {
    expect(inspectArtifact(inspected(aDenseModel()), { format: 'opaque' })).toMatchObject({
      format: 'opaque',
      signature: NOTHING,
      loadedBytes: 0,
    });
  });

  it('refuses a topology that is too large to be read, whatever it is called (52)', () => {
    const file = {
      path: 'net.json',
      bytes: 2 ** 26,
      traits: { kind: null, notes: [], namesTopology: true },
    };

    expect(() => inspectArtifact([file])).toThrow('net.json: is larger than 33554432 bytes');
  });

  it('keeps a large model.json of another library as it is', () => {
    const traits = { kind: 'xgboost', notes: [] } as const;
    const inspection = inspectArtifact([{ path: 'model.json', bytes: 2 ** 26, traits }]);

    expect(inspection).toMatchObject({ format: 'opaque', framework: 'xgboost' });
  });

  it('keeps a description under a name that is not JSON, and says how it would be read', () => {
    const traits = { kind: null, notes: [], namesTopology: true };
    const inspection = inspectArtifact([{ path: 'net.txt', bytes: 100, traits }]);

    expect(inspection.format).toBe('opaque');
    expect(inspection.warnings.join()).toContain('only under a name that ends in .json');
  });

  it('takes the one JSON with a topology, whatever it is called', () => {
    const [model, weights] = [...aDenseModel().values()];
    const files = new Map([
      ['config.json', bytes('{"paths":{}}')],
      ['tensorflowjs_model.json', model!],
      ['w.bin', weights!],
    ]);

    expect(inspectFiles(files).entry).toBe('tensorflowjs_model.json');
  });

  it('refuses two models in one artifact, naming both', () => {
    const files = new Map([...aDenseModel(), ['b/model.json', aDenseModel().get('model.json')!]]);

    expect(faultsOf(files).map((fault) => fault.split(':')[0])).toEqual([
      'model.json',
      'b/model.json',
    ]);
  });

  it('refuses a topology that is neither layers nor a graph', () => {
    expect(faultsOf(withJson(aDenseModel(), { modelTopology: {}, weightsManifest: [] }))).toEqual([
      'w.bin: this file was uploaded, and the manifest of model.json lacks it',
      'model.json: modelTopology: the topology is of class nothing; one of Functional, Model, Sequential was expected',
    ]);
  });

  it('refuses a format that contradicts the topology', () => {
    const text = new TextDecoder().decode(aDenseModel().get('model.json'));

    expect(faultsOf(modelJson(bytes(text.replace('layers-model', 'graph-model'))))).toEqual([
      'model.json: format: says otherwise, but the topology is that of a layers-model',
    ]);
  });

  it.each([
    ['not UTF-8', bytes('{"modelTopology":"', [0xff, 0xfe], '"}'), 'is not valid UTF-8'],
    ['marked', bytes([0xef, 0xbb, 0xbf], '{"modelTopology":{}}'), 'starts with a byte order mark'],
    [
      'cut off',
      bytes('{"modelTopology":{"a'),
      'is not JSON: a string without an end at position 20',
    ],
    ['followed by more', bytes('{"modelTopology":{}} x'), 'is not JSON: '],
    ['empty', bytes(''), 'is not JSON: the text ends too early at position 0'],
  ])('refuses a description that is %s, naming the file (100)', (_, content, sentence) => {
    expect(faultsOf(modelJson(content))[0]).toContain(`model.json: ${sentence}`);
  });

  it('refuses a topology 200,000 levels deep before it is parsed (51)', () => {
    const deep = bytes('{"modelTopology":', '['.repeat(200_000), ']'.repeat(200_000), '}');

    expect(faultsOf(modelJson(deep))).toEqual(['model.json: is nested deeper than 200 levels']);
  });

  it('refuses a topology of a million values before it is parsed (52)', () => {
    const wide = bytes('{"modelTopology":[', '[],'.repeat(1_000_000), '[]]}');

    expect(faultsOf(modelJson(wide))).toEqual(['model.json: holds more than 1000000 values']);
  });

  it('takes brackets inside texts for what they are (51)', () => {
    const text = new TextDecoder().decode(aDenseModel().get('model.json'));
    const files = modelJson(bytes(text.replace('{', `{"generatedBy":"\\"${'['.repeat(300)}",`)));

    expect(inspectFiles(files).format).toBe('tfjs-layers');
  });

  it('refuses a description beyond 32 MiB (52)', () => {
    const padded = new Uint8Array(32 * 1024 * 1024 + 1).fill(0x20);

    expect(faultsOf(modelJson(padded))).toEqual(['model.json: is larger than 33554432 bytes']);
    expect(() => inspectArtifact([{ path: 'model.json', bytes: padded.length }])).toThrow(
      'model.json: is larger than 33554432 bytes',
    );
    expect(() => inspectArtifact([{ path: 'model.json', bytes: 100 }])).toThrow(
      'together with the descriptions before it, it is larger than 33554432 bytes',
    );
  });

  it('wants to see JSON, and nothing else', () => {
    expect(['model.json', 'a/FOO.JSON', 'w.bin', 'json', 'a.json.gz'].filter(wantsContent)).toEqual(
      ['model.json', 'a/FOO.JSON'],
    );
  });
});
