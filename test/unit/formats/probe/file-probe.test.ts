import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync, gzipSync, inflateSync } from 'node:zlib';

import { zipSync } from 'fflate';

import { type FileTraits } from '../../../../src/formats/probe/file-kind';
import { FileProbe } from '../../../../src/formats/probe/file-probe';
import { fixturePath } from '../../../support/fixtures';

async function probe(bytes: Uint8Array, pieceBytes = 60_000): Promise<FileTraits> {
  const watching = new FileProbe();
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    await watching.push(bytes.subarray(at, at + pieceBytes));
  }
  return await watching.finish();
}

const fixture = (name: string): Buffer => readFileSync(fixturePath(name));
const command = Buffer.from('\x80\x02cposix\nsystem\nU\x02hi\x85R.', 'latin1');
const lightgbm = 'tree\nversion=v4\nnum_class=1\n';
const xgboost = '{"learner":{"attributes":{},"feature_names":[],"gradient_booster":{}}}';
const ubj = Buffer.concat([
  Buffer.from('{L'),
  Buffer.from([0, 0, 0, 0, 0, 0, 0, 7]),
  Buffer.from('learner'),
]);
const gguf = Buffer.concat([Buffer.from('GGUF'), Buffer.from([3, 0, 0, 0, 1, 0])]);

describe('FileProbe', () => {
  it.each([
    ['an HDF5 file', 'trained/digits-cnn-v1/model.h5', 'hdf5'],
    ['a Keras 3 archive', 'trained/digits-cnn-v1/model.keras', 'keras-archive'],
    ['an ONNX model', 'onnx/ch_ppocr_mobile_v2.0_cls_infer.onnx', 'onnx'],
    ['an ONNX model in half precision', 'onnx/silero_vad_half.onnx', 'onnx'],
    ['a TensorFlow Lite model', 'trained/digits-cnn-tflite/model-int8.tflite', 'tflite'],
    ['another one', 'tflite-mediapipe/face_detection_short_range.tflite', 'tflite'],
    ['safetensors', 'safetensors/silero_vad_16k.safetensors', 'safetensors'],
    ['a compressed joblib file', 'trained/rf-digits/model-z3.joblib', 'joblib'],
  ])('recognises %s by its content', async (_, name, kind) => {
    expect(await probe(fixture(name))).toMatchObject({ kind });
  });

  it.each([
    ['LightGBM text', Buffer.from(lightgbm), 'lightgbm'],
    ['XGBoost JSON', Buffer.from(xgboost), 'xgboost'],
    ['XGBoost binary JSON', ubj, 'xgboost'],
    ['a CatBoost model', Buffer.from('CBM1xxxx'), 'catboost'],
    ['PMML', Buffer.from('<?xml version="1.0"?>\n<PMML version="4.4">'), 'pmml'],
    ['GGUF', gguf, 'gguf'],
    ['a pickle', command, 'pickle'],
    ['a pickle in the oldest protocol', Buffer.from("cos\nsystem\n(S'hi'\ntR."), 'pickle'],
    ['a pickle in gzip', gzipSync(command), 'pickle'],
    ['a PyTorch zip', zipSync({ 'net/data.pkl': [command, { level: 0 }] }), 'torch'],
    ['TorchScript', zipSync({ 'n/data.pkl': command, 'n/constants.pkl': command }), 'torchscript'],
  ])('recognises %s', async (_, bytes, kind) => {
    expect(await probe(bytes)).toMatchObject({ kind });
    expect(await probe(bytes, 1)).toMatchObject({ kind });
  });

  it.each([
    ['text', Buffer.from('(a note) I hope this helps.')],
    ['an empty file', Buffer.alloc(0)],
    ['zeros', Buffer.alloc(100_000)],
    ['JSON', Buffer.from('{"a":[1,2]}')],
    ['a list', Buffer.from('[1,2]')],
    ['an image', fixture(join('images', readdirSync(fixturePath('images'))[0]!))],
    ['weights', fixture('hm-age/age.bin')],
    ['another zip', Buffer.from(zipSync({ 'a.txt': Buffer.from('x') }))],
    ['another gzip', gzipSync('hello')],
    ['nothing but a magic number', Buffer.from('GGUF')],
  ])('recognises nothing in %s', async (_, bytes) => {
    expect((await probe(bytes)).kind).toBeNull();
  });

  it('takes no other fixture for a model of another kind', async () => {
    const found = await Promise.all(
      readdirSync(fixturePath('images')).map(
        async (name) => (await probe(fixture(join('images', name)))).kind,
      ),
    );

    expect(new Set(found)).toEqual(new Set([null]));
  });

  it.each([
    ['plain', command],
    ['in zlib', deflateSync(command)],
    ['in a PyTorch zip', zipSync({ 'net/data.pkl': [command, { level: 0 }] })],
  ])('names what a pickle %s would import', async (_, bytes) => {
    expect((await probe(bytes)).notes[0]).toMatch(/^DANGEROUS: imports posix\.system/);
  });

  it('names the library whose objects are pickled', async () => {
    const traits = await probe(inflateSync(fixture('trained/rf-digits/model-z3.joblib')), 777);

    expect(traits).toMatchObject({ kind: 'joblib', framework: 'scikit-learn' });
    expect(traits.notes.join()).not.toContain('DANGEROUS');
  });

  it('says that a pickle is damaged, compressed or not', async () => {
    const packed = fixture('trained/rf-digits/model-z3.joblib');

    expect((await probe(packed.subarray(0, 100_000))).notes.join()).toContain(
      'compressed bytes are',
    );
    expect((await probe(inflateSync(packed).subarray(0, 100_000))).notes.join()).toContain(
      'damaged',
    );
  });

  it('stops at the end of a compressed pickle, whatever comes behind', async () => {
    const bytes = Buffer.concat([deflateSync(command), Buffer.alloc(200_000, 7)]);

    expect(await probe(bytes)).toMatchObject({ kind: 'pickle' });
  });

  const text = gzipSync('a note '.repeat(20_000));
  const badSum = Buffer.from(gzipSync(command));
  badSum.writeUInt32LE(0, badSum.length - 8);
  it.each([
    ['with something else behind it', Buffer.concat([gzipSync('test'), Buffer.from('garbage')])],
    ['with another one behind it', Buffer.concat([gzipSync('test'), gzipSync('more')])],
    ['with a wrong checksum', Buffer.concat([text.subarray(0, -8), Buffer.alloc(8)])],
    ['cut off', text.subarray(0, -20)],
    ['of nothing', gzipSync('')],
    ['that is none', Buffer.from([0x1f, 0x8b, 1, 2, 3])],
    ['of zeros', gzipSync(Buffer.alloc(10_000_000))],
    ['in zlib form, damaged', Buffer.from([0x78, 0x9c, 0xff, 0xff, 0xff])],
  ])('comes to an end with a compressed file %s', async (_, bytes) => {
    for (const pieceBytes of [1_000_000, 1000, 7]) {
      expect((await probe(bytes, pieceBytes)).kind).toBeNull();
    }
  });

  const bare = command.subarray(2);
  it.each([
    ['without its first two bytes', bare],
    [
      'without them, in a frame',
      Buffer.concat([Buffer.from([0x95, 16, 0, 0, 0, 0, 0, 0, 0]), bare]),
    ],
    ['behind something it drops', Buffer.concat([Buffer.from('N0'), bare])],
    ['behind a flag it drops', Buffer.concat([Buffer.from([0x88, 0x30]), bare])],
    ['behind a number it drops', Buffer.concat([Buffer.from('K\x010'), bare])],
    ['damaged once it has run', Buffer.concat([bare.subarray(0, -1), Buffer.from([0xff])])],
    ['of text with a line behind it', Buffer.from("cos\nsystem\n(S'hi'\ntR.\n")],
    ['of text that only imports', Buffer.from('cos\nsystem\n.')],
    ['without them, in zlib', deflateSync(bare)],
    ['without them, in gzip', gzipSync(bare)],
  ])('recognises a pickle %s', async (_, bytes) => {
    for (const pieceBytes of [1000, 1]) {
      const traits = await probe(bytes, pieceBytes);

      expect(traits.kind).toBe('pickle');
      expect(traits.notes[0]).toMatch(/^DANGEROUS: imports (?:posix|os)\.system/);
    }
  });

  it.each([
    'N.',
    'I1\n.',
    'cat\ndog\n.',
    '(in this case\nwe do\nR.',
    '(idea\nnotes\n)R',
    'import os\nos.system("ls")\n',
    'class A:\n    pass\n',
    'from os import path\n',
    'cos\nsin\ntan\n',
  ])('leaves a text what it is: %j', async (content) => {
    expect((await probe(Buffer.from(content))).kind).toBeNull();
  });

  it('says that a model of another kind is a pickle as well', async () => {
    const both = Buffer.concat([Buffer.from('GGUF\x03\0\0\0\0'), Buffer.from('0'), bare]);

    const { kind, notes } = await probe(both);

    expect(kind).toBe('gguf');
    expect(notes.join('\n')).toMatch(/as well\nDANGEROUS: imports posix\.system/);
  });

  it('says so when it cannot look into a compressed file', async () => {
    expect((await probe(badSum)).notes).toEqual([
      'was not looked into: it is compressed, and the compressed bytes are damaged',
    ]);
  });

  it.each([
    ['an object with one', '{"format":"x","modelTopology":{"node":[]}}', true],
    ['an object with one behind others', '\ufeff {"a":{"b":["}"]}, "modelTopology" : 1', true],
    ['a text that mentions it', 'my notes on "modelTopology": see there', undefined],
    ['an object that holds it deeper', '{"a":{"modelTopology":1}}', undefined],
    ['an object with its name for a value', '{"a":"modelTopology"}', undefined],
    ['an object with its name in a text', '{"a":"\\"modelTopology\\":1"}', undefined],
    ['a list', '["modelTopology"]', undefined],
  ])('takes for a topology only an object with one: %s', async (_, content, expected) => {
    expect((await probe(Buffer.from(content))).namesTopology).toBe(expected);
  });

  const plain = Buffer.from('\x80\x02K\x01.', 'latin1');
  const STORED = { level: 0 } as const;
  it.each([
    ['behind 100 kB', { 'a/x': [Buffer.alloc(100_000), STORED], 'a/data.pkl': [command, STORED] }],
    ['compressed', { 'a/data.pkl': command }],
    ['behind a decoy', { 'a/x/data.pkl': [plain, STORED], 'a/data.pkl': [command, STORED] }],
    ['in a member of another name', { 'a/data.pkl': plain, 'a/more.PKL': command }],
    ['without its first two bytes', { 'a/data.pkl': [bare, STORED] }],
  ] as const)('names what a pickle in a zip would import %s', async (_, members) => {
    const bytes = zipSync(members as unknown as Parameters<typeof zipSync>[0]);
    for (const pieceBytes of [60_000, 77]) {
      const { kind, notes } = await probe(bytes, pieceBytes);

      expect(kind).toBe('torch');
      expect(notes.join('\n')).toContain('DANGEROUS: imports posix.system');
    }
  });

  it('says that a zip has several pickles, or several members of one name', async () => {
    const two = Buffer.from(
      zipSync({ 'a/data.pkl': [plain, STORED], 'a/dat2.pkl': [command, STORED] }),
    );
    const same = Buffer.from(two.toString('latin1').replaceAll('dat2', 'data'), 'latin1');

    expect((await probe(two)).notes.join('\n')).toContain('holds 2 pickles');
    const { notes } = await probe(same);
    expect(notes.join('\n')).toMatch(/DANGEROUS[^]*2 members with the name "a\/data\.pkl"/);
  });

  it('says that a pickle of a zip is elsewhere than it could be looked at', async () => {
    const bytes = Buffer.from(zipSync({ 'a/data.bin': [command, STORED] }));
    bytes.write('data.pkl', bytes.lastIndexOf('data.bin'));

    expect((await probe(bytes)).notes.join()).toMatch(/a\/data\.pkl" was not looked at/);
  });

  it('finds the members of a zip by a directory that is longer than what is kept', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 3000 }, (_, index) => [`net/data/${index}`, Buffer.from([1])]),
    );
    const bytes = Buffer.from(zipSync({ ...many, 'net/data.pkl': command }, { level: 0 }));

    expect((await probe(bytes)).kind).toBe('torch');
  });
});
