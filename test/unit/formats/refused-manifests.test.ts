import {
  aDenseModel,
  edited,
  faultsOf,
  type Files,
  inspectFiles,
  type Json,
} from '../../support/inspected-artifact';

const GROUP = 'model.json: weightsManifest[0]';

function group(edit: (group: Json) => void): Files {
  return edited(aDenseModel(), (json) => {
    edit(json.weightsManifest[0]);
  });
}

function weight(change: object): Files {
  return group(({ weights }) => Object.assign(weights[0], change));
}

describe('the weights manifest', () => {
  it.each([
    ['climbs', '../w.bin'],
    ['climbs inside', 'a/../../w.bin'],
    ['is absolute', '/etc/passwd'],
    ['climbs in percent', '%2e%2e/w.bin'],
    ['has a backslash', '..\\w.bin'],
    ['has a NUL', 'w.bin\u0000.txt'],
    ['is a URL', 'https://weights.example/w.bin'],
    ['is too long', 'w'.repeat(10_000)],
    ['is empty', ''],
    ['is no text', 7],
  ])('may not name a file by a path that %s (39)', (_, path) => {
    const [fault] = faultsOf(group(({ paths }) => (paths[0] = path)));

    expect(fault).toMatch(/^model\.json: weightsManifest\[0\]\.paths\[0\]: /);
    expect(fault).not.toContain('was not uploaded');
  });

  it('may not name a file twice, nor one that is missing, nor leave one out (40)', () => {
    const files = group(({ paths }) => paths.push('w.bin', 'gone.bin'));

    expect(faultsOf(new Map([...files, ['extra-shard2of2.bin', new Uint8Array(4)]]))).toEqual([
      `${GROUP}.paths[1]: the file "w.bin" is named twice`,
      `${GROUP}.paths[2]: the file "gone.bin" was not uploaded`,
      'extra-shard2of2.bin: this file was uploaded, and the manifest of model.json lacks it',
    ]);
  });

  it('leaves files alone that hold no weights', () => {
    const files = new Map([...aDenseModel(), ['labels.txt', new Uint8Array(3)]]);

    expect(inspectFiles(files).format).toBe('tfjs-layers');
  });

  it('names shards relative to its own folder', () => {
    const files = new Map([...aDenseModel()].map(([path, bytes]) => [`deep/er/${path}`, bytes]));

    expect(inspectFiles(files).entry).toBe('deep/er/model.json');
  });

  it.each([
    ['negative', [-4, 3]],
    ['fractional', [4.5, 3]],
    ['text', ['4', 3]],
    ['null', [null, 3]],
    ['a huge product', [2 ** 30, 2 ** 30]],
    ['huge beside zero', [0, 1e15]],
    ['no list', 12],
    ['endless', Array<number>(1e5).fill(1)],
  ])('may not have a shape that is %s (41)', (_, shape) => {
    expect(faultsOf(weight({ shape }))[0]).toContain(`${GROUP}.weights[0].shape: `);
  });

  it('may not have -0 as a dimension (41)', () => {
    const text = new TextDecoder()
      .decode(aDenseModel().get('model.json'))
      .replace('[4,3]', '[-0,3]');
    const files = new Map([...aDenseModel(), ['model.json', new TextEncoder().encode(text)]]);

    expect(faultsOf(files)).toEqual([
      `${GROUP}.weights[0].shape: -0 is no dimension; whole numbers from 0 to 2147483647 are`,
    ]);
  });

  it('may not promise more texts than its files have bytes for (42)', () => {
    expect(faultsOf(weight({ dtype: 'string', shape: [1e9] }))).toEqual([
      `${GROUP}: the weights of this group take at least 4000000044 bytes, but its files hold 92`,
    ]);
  });

  it.each([91, 93, 0])('must account for every byte of its files: %p of 92 (43)', (bytes) => {
    const files = new Map([...aDenseModel(), ['w.bin', new Uint8Array(bytes)]]);

    expect(faultsOf(files)).toEqual([
      `${GROUP}: the weights of this group take 92 bytes, but its files hold ${bytes}`,
    ]);
  });

  it.each([
    ['unknown', { dtype: 'uint4', min: 0, scale: 1 }, 'dtype'],
    ['no', null, ''],
    ['a number without min', { dtype: 'uint8', scale: 1 }, 'min'],
    ['a text as scale', { dtype: 'uint16', min: 0, scale: '1' }, 'scale'],
    ['null as min', { dtype: 'uint8', min: null, scale: 1 }, 'min'],
  ])('may not be quantised with %s (44)', (_, quantization, key) => {
    const path = `${GROUP}.weights[0].quantization${key && `.${key}`}: `;

    expect(faultsOf(weight({ quantization }))[0]).toContain(path);
  });

  it('may not have an infinite scale (44)', () => {
    const quantization = { dtype: 'uint8', min: 0, scale: 'huge' };
    const files = weight({ quantization });
    const text = new TextDecoder().decode(files.get('model.json')).replace('"huge"', '1e999');

    expect(
      faultsOf(new Map([...files, ['model.json', new TextEncoder().encode(text)]]))[0],
    ).toContain('quantization.scale: a number that float32 can hold was expected');
  });

  it('may not have int32 as float16 (44)', () => {
    const files = weight({ dtype: 'int32', quantization: { dtype: 'float16' } });

    expect(faultsOf(files)[0]).toContain('only float32 can be quantised to this');
  });

  it('counts quantised bytes as they are stored, and as they are loaded', () => {
    const files = weight({ quantization: { dtype: 'uint8', min: -1, scale: 0.1 } });

    const { loadedBytes } = inspectFiles(new Map([...files, ['w.bin', new Uint8Array(92 - 36)]]));

    expect(loadedBytes).toBe(92);
  });

  it.each(['', '__proto__', 'constructor', 'a\nb', 'a'.repeat(5000), null])(
    'may not have a weight called %p (45)',
    (name) => {
      expect(faultsOf(weight({ name }))[0]).toContain(`${GROUP}.weights[0].name: `);
    },
  );

  it('may not have two weights of one name (45)', () => {
    expect(faultsOf(weight({ name: 'b/bias' }))).toEqual([
      `${GROUP}.weights[3].name: two weights have this name`,
    ]);
  });

  it.each(['float16', 'int64', 'constructor', 3])('may not have weights of type %p', (dtype) => {
    expect(faultsOf(weight({ dtype }))[0]).toContain(`${GROUP}.weights[0].dtype: `);
  });

  it.each([undefined, null, {}, 'x'])('must be there: %p (58)', (manifest) => {
    const files = edited(aDenseModel(), (json) => (json.weightsManifest = manifest));

    expect(faultsOf(files)[0]).toContain(
      'model.json: weightsManifest: there is no weights manifest',
    );
  });

  it('is reported with all its faults at once', () => {
    const files = group(({ weights }) => {
      weights[0].shape = [-1];
      weights[1].dtype = 'x';
      weights[2].name = '';
    });

    expect(faultsOf(files)).toHaveLength(3);
  });

  it('shows a hundred of a thousand faults and counts the others', () => {
    const files = group((all) => {
      all.weights = Array.from({ length: 1000 }, () => 1);
    });

    expect(faultsOf(files)).toHaveLength(100);
  });
});
