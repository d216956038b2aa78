import { type NamedTensors, type TensorSpec } from '../../../src/common/tensor';
import { type StackedTensors } from '../../../src/runtime/batch';
import { type Answer, type Compared, whyUnequal } from '../../../src/runtime/compare-engines';
import { floatTensor } from '../../support/golden';

const x: TensorSpec = { name: 'x', dtype: 'float32', shape: [-1, 4] };
const y: TensorSpec = { name: 'y', dtype: 'float32', shape: [-1, 4] };
const model: Compared = {
  signature: { inputs: [x], outputs: [y] },
  size: 1,
  rowsApart: true,
  rowMs: 1,
};

/** Numbers of one batch, wherever its rows lie. */
function numbersOf(inputs: NamedTensors | StackedTensors): Float32Array {
  const { data } = inputs['x']!;
  return new Float32Array(Uint8Array.from(Buffer.concat([data].flat())).buffer);
}

/** A model that computes each batch with a function of its numbers and of the rows. */
function engine(compute: (numbers: Float32Array, rows: number) => readonly number[] | null): {
  readonly answer: Answer;
  readonly rows: number[];
} {
  const rows: number[] = [];
  const answer: Answer = async (inputs) => {
    const { shape } = inputs['x']!;
    rows.push(shape[0]!);
    const numbers = compute(numbersOf(inputs), shape[0]!);
    return await Promise.resolve(numbers && { y: floatTensor(shape, numbers) });
  };
  return { answer, rows };
}

const twice = (numbers: Float32Array): readonly number[] => [...numbers].map((value) => value * 2);

describe('whyUnequal', () => {
  it('asks a reference that computes row by row once, and the other for one, three and 32', async () => {
    const [reference, compiled] = [engine(twice), engine(twice)];

    expect(await whyUnequal(reference.answer, compiled.answer, model)).toBeNull();

    expect(reference.rows).toEqual([4]);
    expect(compiled.rows).toEqual([1, 1, 1, 1, 3, 3, 32]);
  });

  it('leaves out 32 rows where they would take two seconds', async () => {
    const compiled = engine(twice);

    await whyUnequal(engine(twice).answer, compiled.answer, { ...model, rowMs: 63 });

    expect(compiled.rows).toEqual([1, 1, 1, 1, 3, 3]);
  });

  it.each([
    ['noise', (value: number) => value > 0 && value <= 1],
    ['negative numbers', (value: number) => value < -1e-3 && value > -2],
    ['large numbers', (value: number) => value > 2],
    ['zeros', (value: number) => value === 0],
  ])('finds what is off for %s only', async (name, isOff) => {
    const off = engine((numbers) => twice(numbers).map((v) => (isOff(v / 2) ? v + 1 : v)));

    const found = await whyUnequal(engine(twice).answer, off.answer, model);

    expect(found).toContain(`with ${name} in one row output y differs at`);
  });

  it.each([3, 32])('finds what is off in %i rows only', async (many) => {
    const off = engine((numbers, rows) => twice(numbers).map((v) => (rows === many ? v + 1 : v)));

    const found = await whyUnequal(engine(twice).answer, off.answer, model);

    expect(found).toContain(`in ${many} rows output y differs at`);
  });

  it('asks for each batch where rows depend on each other', async () => {
    const [reference, compiled] = [engine(twice), engine(twice)];
    const dependent = { ...model, rowsApart: false };

    expect(await whyUnequal(reference.answer, compiled.answer, dependent)).toBeNull();

    expect(reference.rows).toEqual([1, 1, 1, 1, 3, 3, 3, 3, 32]);
    expect(compiled.rows).toEqual(reference.rows);
  });

  it('compares a model that takes one row only in one row', async () => {
    const [reference, compiled] = [engine(twice), engine(twice)];
    const signature = { inputs: [{ ...x, shape: [1, 4] }], outputs: [{ ...y, shape: [1, 4] }] };

    await whyUnequal(reference.answer, compiled.answer, { ...model, rowsApart: false, signature });

    expect(compiled.rows).toEqual([1, 1, 1, 1]);
  });

  it('compares what is left where the reference refuses numbers', async () => {
    const compute = (numbers: Float32Array): readonly number[] | null =>
      numbers.some((value) => value < 0) ? null : twice(numbers);
    const [table, compiled] = [engine(compute), engine(compute)];

    expect(await whyUnequal(table.answer, compiled.answer, model)).toBeNull();

    expect(table.rows).toEqual([4, 1, 1, 1, 1]);
    expect(compiled.rows).toEqual([1, 1, 1, 1, 3, 32]);
  });

  it('finds what is computed where the reference refuses', async () => {
    const table = engine((numbers) => (numbers.some((value) => value < 0) ? null : twice(numbers)));

    expect(await whyUnequal(table.answer, engine(twice).answer, model)).toBe(
      'with negative numbers in one row it computes what the reference refuses',
    );
  });

  it('is not satisfied where the compiled model does not compute, or nothing is left', async () => {
    const never = engine(() => null);

    expect(await whyUnequal(engine(twice).answer, never.answer, model)).toBe(
      'with noise in one row it does not compute',
    );
    expect(await whyUnequal(never.answer, never.answer, model)).toBe('there is nothing to compare');
  });

  it('does not begin where the reference would be busy for too long', async () => {
    const reference = engine(twice);

    const found = await whyUnequal(reference.answer, reference.answer, { ...model, rowMs: 9_000 });

    expect(found).toBe('comparing would take about 36 s');
    expect(reference.rows).toEqual([]);
  });

  it('compares another size where dimensions are open', async () => {
    const open = { inputs: [{ ...x, shape: [-1, -1] }], outputs: [y] };
    const off = engine((numbers) => twice(numbers).map((v) => (numbers.length === 16 ? 1 : v)));
    const opened = { ...model, signature: open, size: 8, rowsApart: false };

    const found = await whyUnequal(engine(twice).answer, off.answer, opened);

    expect(found).toContain('with noise of another size output y differs');
  });
});
