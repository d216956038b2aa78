import * as core from '@tensorflow/tfjs-core';
import fc from 'fast-check';

import { type Piece, type RoomFor } from '../../../../src/artifacts/artifact.store';
import { decodeWeight } from '../../../../src/runtime/engines/decode-weight';
import { splitTfjs } from '../../../../src/runtime/engines/split-tfjs';
import { openWasmEngine } from '../../../../src/runtime/engines/wasm-engine';
import {
  cutWeights,
  placeWeights,
  roomFinder,
  type WeightBytes,
  type WeightRooms,
} from '../../../../src/runtime/engines/weight-bytes';

type Spec = core.io.WeightsManifestEntry;

/** Pieces as a source gives them, each in its room where there is one. */
async function* inPieces(
  bytes: Uint8Array,
  sizes: readonly number[],
  roomFor: RoomFor = () => undefined,
): AsyncGenerator<Piece> {
  let start = 0;
  for (let index = 0; start < bytes.length; index++) {
    const size = sizes.length === 0 ? bytes.length : sizes[index % sizes.length]!;
    const piece = bytes.subarray(start, start + size);
    const { length } = piece;
    const room = roomFor({ start, end: start + length });
    room?.set(piece);
    yield await Promise.resolve(room ? { length } : { length, bytes: piece });
    start += length;
  }
}

async function collect(
  specs: readonly Spec[],
  pieces: AsyncIterable<Piece>,
): Promise<WeightBytes[]> {
  const found: WeightBytes[] = [];
  for await (const weight of cutWeights(specs, pieces)) found.push(weight);
  return found;
}

const spec = (name: string, shape: number[], dtype: Spec['dtype'] = 'float32'): Spec => ({
  name,
  shape,
  dtype,
});

/** Two strings of which one is empty, each behind its length. */
const TEXTS = Buffer.concat([
  Buffer.from([0, 0, 0, 0]),
  Buffer.from([6, 0, 0, 0]),
  Buffer.from('größ'),
]);

describe('cutWeights', () => {
  const specs = [
    spec('a', [3]),
    spec('empty', [0, 5]),
    spec('scalar', [], 'int32'),
    spec('flags', [5], 'bool'),
    spec('texts', [2], 'string'),
    { ...spec('small', [7]), quantization: { dtype: 'uint8' as const, scale: 1, min: 0 } },
    { ...spec('half', [3]), quantization: { dtype: 'float16' as const } },
  ];
  const lengths = [12, 0, 4, 5, TEXTS.length, 7, 6];
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  bytes.forEach((_, index) => (bytes[index] = index + 1));
  bytes.set(TEXTS, 21);

  it('gives each weight its bytes, whatever pieces they come in', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 })), async (sizes) => {
        const found = await collect(specs, inPieces(bytes, sizes));

        let at = 0;
        found.forEach(({ spec: { name }, bytes: own }, index) => {
          expect(name).toBe(specs[index]!.name);
          expect(new Uint8Array(own)).toEqual(bytes.slice(at, at + lengths[index]!));
          at += lengths[index]!;
        });
        expect(found).toHaveLength(specs.length);
      }),
    );
  });

  it('puts weights that have room there, whatever pieces they come in and wherever the room moves', async () => {
    const roomy = ['a', 'empty', 'flags', 'small', 'half'];
    const pieceSizes = fc.array(fc.integer({ min: 1, max: 40 }));
    await fc.assert(
      fc.asyncProperty(pieceSizes, fc.subarray(roomy), async (sizes, names) => {
        const memory = new Map(
          specs.map(({ name }, index) => [name, new Uint8Array(lengths[index]!)]),
        );
        const rooms: WeightRooms = ({ name }) => {
          if (!names.includes(name)) return undefined;
          const moved = Uint8Array.from(memory.get(name)!);
          memory.get(name)!.fill(0xee);
          memory.set(name, moved);
          return moved;
        };
        const pieces = inPieces(bytes, sizes, roomFinder(specs, rooms));

        let at = 0;
        for await (const weight of placeWeights(specs, pieces, rooms)) {
          const { name } = weight.spec;
          expect(weight.bytes === null).toBe(names.includes(name));
          const own = weight.bytes ? new Uint8Array(weight.bytes) : memory.get(name)!;
          const { length } = memory.get(name)!;
          expect([name, own]).toEqual([name, bytes.slice(at, at + length)]);
          at += length;
        }
        expect(at).toBe(bytes.length);
      }),
    );
  });

  it('hands a piece that is exactly one weight on without a copy', async () => {
    const piece = new Uint8Array(12);
    const [found] = await collect([spec('a', [3])], inPieces(piece, []));

    expect(found!.bytes).toBe(piece.buffer);
  });

  it('refuses bytes that end early or go on (43)', async () => {
    await expect(collect(specs, inPieces(bytes.subarray(0, -1), [8]))).rejects.toMatchObject({
      code: 'artifact_corrupt',
    });
    const longer = Buffer.concat([bytes, Buffer.from([0])]);
    await expect(collect(specs, inPieces(longer, [8]))).rejects.toMatchObject({
      code: 'artifact_corrupt',
    });
  });

  it('fails with the failure of the source, also with one behind the last byte', async () => {
    const failing = async function* (): AsyncGenerator<Piece> {
      yield await Promise.resolve({ length: bytes.length, bytes });
      throw new RangeError('digest differs');
    };
    await expect(collect(specs, failing())).rejects.toThrow('digest differs');
  });

  it('lets go of the source when nobody wants the rest', async () => {
    let isClosed = false;
    const source = async function* (): AsyncGenerator<Piece> {
      try {
        yield await Promise.resolve({ length: bytes.length, bytes });
      } finally {
        isClosed = true;
      }
    };
    for await (const { spec: first } of cutWeights(specs, source())) {
      expect(first.name).toBe('a');
      break;
    }
    expect(isClosed).toBe(true);
  });
});

describe('decodeWeight', () => {
  beforeAll(async () => {
    await openWasmEngine();
  });

  /** The bits of a weight as this engine and as the library make them. */
  async function bits(entry: Spec, raw: Uint8Array): Promise<[Uint8Array, Uint8Array]> {
    const exact = Uint8Array.from(raw).buffer;
    const ours = decodeWeight(splitTfjs, { spec: entry, bytes: exact });
    const theirs = core.io.decodeWeights(exact, [entry])[entry.name]!;
    expect([ours.dtype, ours.shape]).toEqual([theirs.dtype, theirs.shape]);
    const read = async (tensor: core.Tensor): Promise<Uint8Array> => {
      const values = (await tensor.data()) as Float32Array;
      return Uint8Array.from(Buffer.from(values.buffer, values.byteOffset, values.byteLength));
    };
    const both: [Uint8Array, Uint8Array] = [await read(ours), await read(theirs)];
    core.dispose([ours, theirs]);
    return both;
  }

  it.each([
    ['float32', 4, undefined],
    ['int32', 4, undefined],
    ['bool', 1, undefined],
    ['float32', 1, { dtype: 'uint8', scale: 0.0123, min: -1.7 }],
    ['float32', 2, { dtype: 'uint16', scale: 3.1e-5, min: -0.9 }],
    ['int32', 1, { dtype: 'uint8', scale: 1.5, min: -3 }],
  ] as const)(
    'makes the same bits as the library: %s from %i bytes',
    async (dtype, width, quantization) => {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 40 }), async (random) => {
          const raw = random.subarray(0, random.length - (random.length % width));
          const entry = {
            ...spec('w', [raw.length / width], dtype),
            ...(quantization ? { quantization } : {}),
          };
          const [ours, theirs] = await bits(entry, raw);
          expect(ours).toEqual(theirs);
        }),
      );
    },
  );

  it('makes the same number of every half float', async () => {
    const all = new Uint8Array(Uint16Array.from({ length: 65_536 }, (_, index) => index).buffer);
    const entry = { ...spec('w', [65_536]), quantization: { dtype: 'float16' as const } };
    const [ours, theirs] = (await bits(entry, all)).map((raw) => new Float32Array(raw.buffer));

    expect(ours).toEqual(theirs);
  });

  it('reads strings', async () => {
    const entry = spec('w', [2], 'string');
    const tensor = decodeWeight(splitTfjs, { spec: entry, bytes: Uint8Array.from(TEXTS).buffer });

    expect(await tensor.data()).toHaveLength(2);
    tensor.dispose();
  });

  it('refuses what the library could not expand either (44)', () => {
    const entry = { ...spec('w', [1], 'int32'), quantization: { dtype: 'float16' as const } };

    expect(() => decodeWeight(splitTfjs, { spec: entry, bytes: new ArrayBuffer(2) })).toThrow(
      'cannot be stored as float16',
    );
  });
});
