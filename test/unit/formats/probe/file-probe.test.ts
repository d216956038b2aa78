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

  it('finds the members of a zip by a directory that is longer than what is kept', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 3000 }, (_, index) => [`net/data/${index}`, Buffer.from([1])]),
    );
    const bytes = Buffer.from(zipSync({ ...many, 'net/data.pkl': command }, { level: 0 }));

    expect((await probe(bytes)).kind).toBe('torch');
  });
});
