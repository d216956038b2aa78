import { ArtifactCorruptError } from '../../../../src/artifacts/artifact.errors';
import { type ArtifactFile } from '../../../../src/artifacts/artifact';
import { type LoadableVersion } from '../../../../src/models/version';
import { COMPILER_VERSION } from '../../../../src/runtime/compile/compiler-version';
import { type FileSource } from '../../../../src/runtime/engines/engine';
import { openCompiled } from '../../../../src/runtime/engines/onnx-compiled';
import { ModelUnloadableError } from '../../../../src/runtime/runtime.errors';
import { aVersion, inspected, MemorySource, readArtifact } from '../../../support/loadable';

const FORM_PATH = '.compiled/onnx';
const files = readArtifact('tfjs/digits-cnn-v1.graph-uint8');
const plain = aVersion(files, inspected(files));

/** The version with a stored form; its bytes come from the source. */
function withForm(release = COMPILER_VERSION): LoadableVersion {
  const ref = { sha256: '', rawBytes: 1, storedBytes: 1, segments: [] };
  return { ...plain, compiled: { engine: 'onnx', release, ref } };
}

function sourceWith(form: Uint8Array): FileSource {
  return new MemorySource(new Map([...files, [FORM_PATH, form]]));
}

describe('openCompiled', () => {
  it('makes of a stored form what compiling makes, without compiling', async () => {
    const { model, compiled } = await openCompiled(plain, new MemorySource(files));
    expect(compiled?.damage).toBeNull();

    const opened = await openCompiled(withForm(), sourceWith(compiled!.form));

    expect(opened.compiled).toBeUndefined();
    expect(Buffer.compare(opened.model.onnx, model.onnx)).toBe(0);
    expect(opened.model.inputs).toEqual(model.inputs);
  });

  it('compiles where the stored form is of another release, which is no damage', async () => {
    const { compiled } = await openCompiled(plain, new MemorySource(files));

    const opened = await openCompiled(withForm(COMPILER_VERSION - 1), sourceWith(Uint8Array.of(1)));

    expect(opened.compiled).toEqual({ form: compiled?.form, damage: null });
  });

  it.each([
    ['is not JSON', Buffer.from('{'), 'not JSON'],
    ['is of another release than its document says', Buffer.from('{"release":0}'), 'release 0'],
  ])('compiles where the stored form %s, and says so', async (_, form, damage) => {
    const opened = await openCompiled(withForm(), sourceWith(form));

    expect(opened.compiled?.damage).toContain(damage);
    expect(opened.compiled?.form.length).toBeGreaterThan(100);
  });

  it('compiles where the stored bytes of the form are damaged, and says so', async () => {
    const memory = new MemorySource(files);
    const source: FileSource = {
      read: async (file: ArtifactFile) => {
        if (file.path === FORM_PATH) throw new ArtifactCorruptError('Stored bytes differ');
        return await memory.read(file);
      },
      open: (file, roomFor) => memory.open(file, roomFor),
    };

    const opened = await openCompiled(withForm(), source);

    expect(opened.compiled?.damage).toBe('Stored bytes differ');
  });

  it('leaves damage to the weights what it is: damage to the version', async () => {
    const { compiled } = await openCompiled(plain, new MemorySource(files));
    const memory = sourceWith(compiled!.form);
    const source: FileSource = {
      read: async (file) => await memory.read(file),
      open: () => {
        throw new ArtifactCorruptError('Stored bytes differ');
      },
    };

    await expect(openCompiled(withForm(), source)).rejects.toThrow(ArtifactCorruptError);
  });

  it('says what it cannot run', async () => {
    const looping = readArtifact('hm-handtrack');
    const version = aVersion(looping, inspected(looping));

    const attempt = openCompiled(version, new MemorySource(looping));

    await expect(attempt).rejects.toThrow(ModelUnloadableError);
  });
});
