import fc from 'fast-check';

import { encodeFrame, type Frame, FrameDecoder } from '../../../src/runtime/framing';
import { FramingError } from '../../../src/runtime/runtime.errors';

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

function decode(pieces: readonly Uint8Array[]): Frame[] {
  const decoder = new FrameDecoder();
  return pieces.flatMap((piece) => [...decoder.push(piece)]);
}

/** Cuts bytes at the given places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort(
    (a, b) => a - b,
  );
  const starts = [0, ...ends];
  return starts.map((start, index) => bytes.subarray(start, ends[index] ?? bytes.length));
}

const message = fc.record({
  header: fc.record({ id: fc.nat(), text: fc.string({ unit: 'grapheme' }) }),
  payload: fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 4 }),
});

describe('FrameDecoder', () => {
  it('gives back what encodeFrame was given, wherever the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 30 }),
        (messages, places) => {
          const bytes = join(
            messages.flatMap(({ header, payload }) => encodeFrame(header, payload)),
          );

          const frames = decode(cut(bytes, places));

          expect(frames).toEqual(
            messages.map(({ header, payload }) => ({
              header,
              payload: new Uint8Array(join(payload)),
            })),
          );
        },
      ),
    );
  });

  it('gives back frames that arrive byte by byte', () => {
    const bytes = join([
      ...encodeFrame({ a: 'ü' }, [new Uint8Array([1, 2, 3])]),
      ...encodeFrame({ b: null }),
    ]);

    const frames = decode(Array.from(bytes, (byte) => new Uint8Array([byte])));

    expect(frames).toEqual([
      { header: { a: 'ü' }, payload: new Uint8Array([1, 2, 3]) },
      { header: { b: null }, payload: new Uint8Array(0) },
    ]);
  });

  it('gives each payload memory of its own, so that typed arrays fit over it', () => {
    const bytes = join(encodeFrame({}, [new Uint8Array(8).fill(7)]));

    const [frame] = decode([bytes]);

    expect(frame?.payload.byteOffset).toBe(0);
    expect(frame?.payload.buffer.byteLength).toBe(8);
    bytes.fill(0);
    expect(frame?.payload[0]).toBe(7);
  });

  it.each([
    ['a header of no bytes', Buffer.from([0, 0, 0, 0, 0, 0, 0, 0])],
    ['a header larger than any', Buffer.from([0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0])],
    ['a header that is not JSON', Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0x7b])],
    ['a log line that strayed into the stream', Buffer.from('W tensorflow: something else')],
  ])('refuses %s', (_, bytes) => {
    expect(() => decode([bytes])).toThrow(FramingError);
  });
});
