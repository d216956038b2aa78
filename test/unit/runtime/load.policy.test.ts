import { type LoadableVersion } from '../../../src/models/version';
import { firstLoadDeadlineMs } from '../../../src/runtime/load.policy';

const MIB = 1024 * 1024;
const versionOf = (...rawBytes: number[]): LoadableVersion =>
  ({
    files: rawBytes.map((bytes) => ({ ref: { rawBytes: bytes } })),
  }) as unknown as LoadableVersion;

describe('the deadline of a first load', () => {
  it('is the setting for a model of a few bytes', () => {
    expect(firstLoadDeadlineMs(20_000, versionOf(0))).toBe(20_000);
  });

  it('grows with all the bytes that were uploaded', () => {
    expect(firstLoadDeadlineMs(20_000, versionOf(100 * MIB, 60 * MIB))).toBe(30_240);
  });

  it('is never longer than any load may take', () => {
    expect(firstLoadDeadlineMs(20_000, versionOf(4096 * MIB))).toBe(120_000);
  });
});
