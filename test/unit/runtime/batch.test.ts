import { splitOutputs, stackable, stackInputs } from '../../../src/runtime/batch';
import { decodeTensors, encodeTensors } from '../../../src/runtime/executor-protocol';
import { floats, floatTensor } from '../../support/golden';
import { aLoadable } from '../../support/loadable';

const open = { dtype: 'float32' as const, shape: [-1, 2] };
const version = aLoadable({
  signature: { inputs: [{ ...open, name: 'x' }], outputs: [{ ...open, name: 'y' }] },
  engines: { wasm: { ok: true, rowsApart: true } },
});
const one = { x: floatTensor([1, 2], [1, 2]) };
const two = { x: floatTensor([2, 2], [3, 4, 5, 6]) };

describe('stackable', () => {
  it('lets requests share a call whose rows have the same sizes, whatever their number', () => {
    const [first, second] = [stackable(version, 'wasm', one), stackable(version, 'wasm', two)];

    expect(first).toEqual({ rows: 1, key: second?.key });
    expect(stackable(version, 'wasm', { x: floatTensor([1, 3], [1, 2, 3]) })?.key).not.toBe(
      first?.key,
    );
  });

  it.each([
    ['was not shown to keep rows apart on the engine', { engines: { wasm: { ok: true } } }],
    [
      'has an output without rows',
      { signature: { ...version.signature, outputs: [{ ...open, name: 'y', shape: [7] }] } },
    ],
    [
      'takes texts',
      {
        signature: {
          ...version.signature,
          inputs: [{ name: 'x', dtype: 'string' as const, shape: [-1] }],
        },
      },
    ],
  ])('keeps requests apart for a version that %s', (_, changes) => {
    expect(stackable({ ...version, ...changes }, 'wasm', one)).toBeNull();
  });

  it('keeps a request apart whose inputs have different numbers of rows', () => {
    expect(stackable(version, 'wasm', { ...one, z: two.x })).toBeNull();
  });
});

describe('stackInputs and splitOutputs', () => {
  it('give each request its own rows back, through the bytes that are sent', () => {
    const { headers, payload } = encodeTensors(stackInputs([one, two, one]));
    const sent = decodeTensors(headers, Buffer.concat(payload));

    expect(sent['x']!.shape).toEqual([4, 2]);
    const split = splitOutputs(sent, [1, 2, 1])!;
    expect(split.map(({ x }) => [x!.shape, [...floats(x!)]])).toEqual([
      [
        [1, 2],
        [1, 2],
      ],
      [
        [2, 2],
        [3, 4, 5, 6],
      ],
      [
        [1, 2],
        [1, 2],
      ],
    ]);
  });

  it('tell outputs that have no row for each row of the inputs', () => {
    expect(splitOutputs(two, [1, 2])).toBeNull();
  });

  it('split outputs whose rows are empty', () => {
    expect(splitOutputs({ y: floatTensor([2, 0], []) }, [1, 1])).toEqual([
      { y: floatTensor([1, 0], []) },
      { y: floatTensor([1, 0], []) },
    ]);
  });
});
