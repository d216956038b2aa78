import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import openCompiler from 'wabt';

import { BYTE_PLANES_WASM } from '../../../../src/artifacts/codec/byte-planes.wasm';
import {
  BLOCK_BYTES,
  type PlaneLayout,
  PlaneStage,
} from '../../../../src/artifacts/codec/byte-planes';
import { randomNumbers } from '../../../support/random-numbers';

const WAT = join(__dirname, '../../../../src/artifacts/codec/byte-planes.wat');

/** What the kernel does, said plainly: byte `plane` of each number, rotated or not. */
function planesOf(bytes: Uint8Array, { width, rotate }: PlaneLayout): number[][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const bits = 8 * width;
  return Array.from({ length: width }, (_, plane) =>
    Array.from({ length: bytes.length / width }, (_, item) => {
      const at = item * width;
      const number = BigInt(width === 2 ? view.getUint16(at, true) : view.getUint32(at, true));
      const turned = rotate ? (number << 1n) | (number >> BigInt(bits - 1)) : number;
      return Number((turned >> BigInt(8 * plane)) & 255n);
    }),
  );
}

describe('the kernel', () => {
  const stage = new PlaneStage();
  const random = randomNumbers(3);
  const someBytes = (length: number): Uint8Array =>
    Uint8Array.from({ length }, () => random() * 256);
  const layouts = ([2, 4] as const).flatMap((width) =>
    [true, false].map((rotate): PlaneLayout => ({ width, rotate, phase: 0 })),
  );

  it('is what its source compiles to', async () => {
    const compiler = await openCompiler();
    const { buffer } = compiler
      .parseWat('byte-planes.wat', readFileSync(WAT, 'utf8'), { simd: true })
      .toBinary({});

    // Otherwise run `node scripts/build-kernel.mjs`.
    expect(BYTE_PLANES_WASM).toBe(Buffer.from(buffer).toString('base64'));
  });

  it.each(layouts)('takes numbers apart and puts them together: %p', (layout) => {
    for (const count of [1, 15, 16, 17, 1_000]) {
      const bytes = someBytes(count * layout.width);
      stage.items.set(bytes);

      stage.split(count, layout, false);

      const planes = Array.from({ length: layout.width }, (_, index) => [
        ...stage.plane(index, count),
      ]);
      expect(planes).toEqual(planesOf(bytes, layout));
      stage.items.fill(0);
      stage.join(count, layout, false);
      expect([...stage.items.subarray(0, bytes.length)]).toEqual([...bytes]);
    }
  });

  it.each(layouts)('takes the difference to a base apart and adds it again: %p', (layout) => {
    const count = 333;
    const bytes = someBytes(count * layout.width);
    const base = someBytes(count * layout.width);
    stage.items.set(bytes);
    stage.base.set(base);

    stage.split(count, layout, true);

    const difference = bytes.map((byte, index) => byte ^ base[index]!);
    expect([...stage.plane(0, count)]).toEqual(planesOf(difference, layout)[0]);
    stage.items.fill(0);
    stage.join(count, layout, true);
    expect([...stage.items.subarray(0, bytes.length)]).toEqual([...bytes]);
  });

  it.each(layouts)('has room for a whole block: %p', (layout) => {
    const bytes = someBytes(BLOCK_BYTES);
    stage.items.set(bytes);

    stage.split(BLOCK_BYTES / layout.width, layout, false);
    stage.items.fill(0);
    stage.join(BLOCK_BYTES / layout.width, layout, false);

    expect(Buffer.compare(stage.items, bytes)).toBe(0);
  });
});
