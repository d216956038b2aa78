import { SharedMemory } from '../../../../src/artifacts/codec/shared-memory';

const MiB = 1024 * 1024;

describe('SharedMemory', () => {
  it.each([0, 1, 65_537, 3 * MiB, 4 * MiB + 1])('gives %p bytes, and little more', (length) => {
    const { bytes } = new SharedMemory(1).take(length);

    expect(bytes).toHaveLength(length);
    expect(bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(bytes.buffer.byteLength).toBeLessThanOrEqual(
      Math.max(64 * 1024, length * 1.125 + 65_536),
    );
  });

  it('hands out again what was given back, to whom it fits', () => {
    const memory = new SharedMemory(2);
    const [small, large] = [memory.take(MiB), memory.take(4 * MiB)];
    small.release();
    large.release();

    expect(memory.take(2 * MiB).bytes.buffer).toBe(large.bytes.buffer);
    expect(memory.take(MiB).bytes.buffer).toBe(small.bytes.buffer);
  });

  it('holds no more than it is to keep, the larger ones', () => {
    const memory = new SharedMemory(1);
    const [small, large] = [memory.take(MiB), memory.take(4 * MiB)];
    large.release();
    small.release();

    expect(memory.take(MiB).bytes.buffer).toBe(large.bytes.buffer);
    expect(memory.take(MiB).bytes.buffer).not.toBe(small.bytes.buffer);
  });
});
