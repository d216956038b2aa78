import { canonicalJson } from '../../../src/common/canonical-json';
import { manifestDigest, type VersionManifest } from '../../../src/models/version-manifest';

const manifest: VersionManifest = {
  format: 'tfjs-layers',
  files: [
    { path: 'model.json', bytes: 10, sha256: 'a'.repeat(64) },
    { path: 'weights.bin', bytes: 20, sha256: 'b'.repeat(64) },
  ],
  labels: null,
  recipe: null,
  declaredSignature: null,
};

describe('manifestDigest', () => {
  it('does not depend on the order in which files came', () => {
    const reversed = { ...manifest, files: [...manifest.files].reverse() };

    expect(manifestDigest(reversed)).toBe(manifestDigest(manifest));
  });

  it('stays what it was in earlier releases', () => {
    expect(manifestDigest(manifest)).toBe(
      'sha256:67f03ea205fe74dc9c7200c702fc1dfec3d46dc772ab5c1cba0b76f658ee17ea',
    );
  });

  it.each<Partial<VersionManifest>>([
    { format: 'tfjs-graph' },
    { labels: ['a'] },
    { recipe: { resize: [8, 8] } },
    { files: manifest.files.slice(1) },
    { files: manifest.files.map((file) => ({ ...file, path: `x/${file.path}` })) },
    { declaredSignature: { inputs: [], outputs: [] } },
  ])('differs when %j does', (change) => {
    expect(manifestDigest({ ...manifest, ...change })).not.toBe(manifestDigest(manifest));
  });
});

describe('canonicalJson', () => {
  it('sorts keys at every level and leaves out what is undefined', () => {
    expect(canonicalJson({ b: [{ d: 1, c: null }], a: 'é', u: undefined })).toBe(
      '{"a":"é","b":[{"c":null,"d":1}]}',
    );
  });
});
