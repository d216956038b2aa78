import { checkArtifactPath } from '../../../../src/artifacts/parts/artifact-path';

describe('checkArtifactPath', () => {
  it.each([
    ['model.json', 'model.json'],
    ['variables/variables.data-00000-of-00001', 'variables/variables.data-00000-of-00001'],
    ['./a', 'a'],
    ['././a/b', 'a/b'],
    ['Größe 100%.bin', 'Größe 100%.bin'],
    ['e\u0301.bin', '\u00e9.bin'],
    ['..a/b..', '..a/b..'],
    ['weights/dense:0', 'weights/dense:0'],
    ['__proto__', '__proto__'],
    ['a'.repeat(512), 'a'.repeat(512)],
  ])('takes %j as %j', (raw, path) => {
    expect(checkArtifactPath(raw)).toEqual({ path });
  });

  it.each([
    ['', 'empty'],
    ['.', 'dots or spaces'],
    ['..', 'dots or spaces'],
    ['../a', 'dots or spaces'],
    ['a/../b', 'dots or spaces'],
    ['a/./b', 'dots or spaces'],
    ['a/.. /b', 'dots or spaces'],
    ['a/ ', 'dots or spaces'],
    ['/etc/passwd', 'absolute'],
    ['//host/share', 'absolute'],
    ['.//a', 'empty segment'],
    ['a//b', 'empty segment'],
    ['a/', 'empty segment'],
    ['./', 'empty segment'],
    ['..\\a', 'backslash'],
    ['C:/a', 'URL or a drive'],
    ['c:a', 'URL or a drive'],
    ['https://host/a', 'URL or a drive'],
    ['gridfs:a', 'URL or a drive'],
    ['%2e%2e/a', 'percent-encoded'],
    ['%252E%252E/a', 'percent-encoded'],
    ['a%2Fb', 'percent-encoded'],
    ['a%5cb', 'percent-encoded'],
    ['a%00', 'percent-encoded'],
    ['a\0b', 'control character'],
    ['a\nb', 'control character'],
    ['a\u007f', 'control character'],
    ['a\u202eb', 'control character'],
    ['\ud800', 'UTF-8'],
    ['a\ufffd', 'UTF-8'],
    ['a'.repeat(513), 'longer than 512 bytes'],
    ['é'.repeat(257), 'longer than 512 bytes'],
    ['a'.repeat(10_000), 'longer than 512 bytes'],
    ['a/'.repeat(32) + 'b', 'deeper than 32'],
  ])('refuses %j (39)', (raw, fault) => {
    expect(checkArtifactPath(raw).fault).toContain(fault);
  });
});
