/** Graph models small enough to be written by hand, as the files of an artifact. */

type Attr = Readonly<Record<string, unknown>>;

export interface GraphNode {
  readonly name: string;
  readonly op: string;
  readonly input?: readonly string[];
  readonly attr?: Readonly<Record<string, Attr>>;
}

export function placeholder(name: string, type: string, shape: readonly number[]): GraphNode {
  const dim = shape.map((size) => ({ size: String(size) }));
  return {
    name,
    op: 'Placeholder',
    attr: { dtype: { type }, shape: { shape: { dim } } },
  };
}

/** A weight of the graph: a scalar, or a list, which may be given another shape. */
export interface Weight {
  readonly name: string;
  readonly value: number | readonly number[];
  readonly shape?: readonly number[];
  readonly dtype?: 'float32' | 'int32';
}

/** `model.json` and its one shard. */
export function aGraph(
  nodes: readonly GraphNode[],
  constants: readonly Weight[] = [],
  library: object = { function: [] },
): Map<string, Uint8Array> {
  const shapeOf = ({ value, shape }: Weight): readonly number[] =>
    shape ?? (typeof value === 'number' ? [] : [value.length]);
  const typeOf = ({ dtype }: Weight): string => (dtype === 'int32' ? 'DT_INT32' : 'DT_FLOAT');
  const constNodes = constants.map((weight) => ({
    name: weight.name,
    op: 'Const',
    attr: {
      dtype: { type: typeOf(weight) },
      value: {
        tensor: {
          dtype: typeOf(weight),
          tensorShape: { dim: shapeOf(weight).map((size) => ({ size: String(size) })) },
        },
      },
    },
  }));
  const json = {
    format: 'graph-model',
    generatedBy: 'test',
    convertedBy: null,
    modelTopology: {
      node: [...constNodes, ...nodes],
      library,
      versions: { producer: 1, minConsumer: 1 },
    },
    weightsManifest: [
      {
        paths: ['weights.bin'],
        weights: constants.map((weight) => ({
          name: weight.name,
          shape: shapeOf(weight),
          dtype: weight.dtype ?? 'float32',
        })),
      },
    ],
  };
  return new Map([
    ['model.json', new TextEncoder().encode(JSON.stringify(json))],
    [
      'weights.bin',
      Buffer.concat(
        constants.map(({ value, dtype }) => {
          const values = [value].flat();
          const typed = dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values);
          return new Uint8Array(typed.buffer);
        }),
      ),
    ],
  ]);
}

/** Says for each value of `x` whether it is larger than one half. */
export function greaterThanHalf(): Map<string, Uint8Array> {
  return aGraph(
    [
      placeholder('x', 'DT_FLOAT', [-1, 3]),
      { name: 'large', op: 'Greater', input: ['x', 'half'], attr: { T: { type: 'DT_FLOAT' } } },
    ],
    [{ name: 'half', value: 0.5 }],
  );
}

/** Divides `x` by zero: infinities and NaN come out. */
export function dividedByZero(): Map<string, Uint8Array> {
  return aGraph(
    [
      placeholder('x', 'DT_FLOAT', [-1, 3]),
      { name: 'y', op: 'RealDiv', input: ['x', 'zero'], attr: { T: { type: 'DT_FLOAT' } } },
    ],
    [{ name: 'zero', value: 0 }],
  );
}

/** Looks numbers up in a table of three: any other index is one that it cannot compute. */
export function tableOfThree(): Map<string, Uint8Array> {
  return aGraph(
    [
      placeholder('x', 'DT_FLOAT', [-1, 1]),
      { name: 'y', op: 'Gather', input: ['table', 'x'], attr: {} },
    ],
    [{ name: 'table', value: [10, 20, 30] }],
  );
}

/** Subtracts from each value of `x` the mean over all rows: no row is computed by itself. */
export function centred(): Map<string, Uint8Array> {
  return aGraph(
    [
      placeholder('x', 'DT_FLOAT', [-1, 3]),
      {
        name: 'mean',
        op: 'Mean',
        input: ['x', 'axis'],
        attr: { keep_dims: { b: true }, T: { type: 'DT_FLOAT' } },
      },
      { name: 'y', op: 'Sub', input: ['x', 'mean'], attr: { T: { type: 'DT_FLOAT' } } },
    ],
    [{ name: 'axis', value: [0] }],
  );
}

/** The mean over all rows, without a row for each of them. */
export function meanOfRows(): Map<string, Uint8Array> {
  return aGraph(
    [
      placeholder('x', 'DT_FLOAT', [-1, 3]),
      { name: 'y', op: 'Mean', input: ['x', 'axis'], attr: { T: { type: 'DT_FLOAT' } } },
    ],
    [{ name: 'axis', value: [0] }],
  );
}

/** Fills a tensor of so many numbers on the way from `x` to its output, which is small. */
export function filledWith(numbers: number): Map<string, Uint8Array> {
  const float = { type: 'DT_FLOAT' };
  return aGraph(
    [
      placeholder('x', 'DT_FLOAT', [1]),
      { name: 'many', op: 'Fill', input: ['size', 'one'], attr: { T: float } },
      {
        name: 'sum',
        op: 'Sum',
        input: ['many', 'axis'],
        attr: { T: float, keep_dims: { b: true } },
      },
      { name: 'y', op: 'AddV2', input: ['sum', 'x'], attr: { T: float } },
    ],
    [
      { name: 'size', value: [numbers] },
      { name: 'one', value: 1 },
      { name: 'axis', value: [0] },
    ],
  );
}

/** Uses an op that no engine knows. */
export function unknownOp(): Map<string, Uint8Array> {
  return aGraph([
    placeholder('x', 'DT_FLOAT', [-1, 3]),
    { name: 'y', op: 'Frobnicate', input: ['x'], attr: {} },
  ]);
}

/** A loop that goes on while its value is at most its own magnitude: without end, for any numbers. */
export function endlessLoop(rows = 1): Map<string, Uint8Array> {
  return aLoop(rows, {
    goesOn: [
      { name: 'abs', op: 'Abs', input: ['v'] },
      { name: 'holds', op: 'LessEqual', input: ['v', 'abs:y:0'] },
    ],
    again: [{ name: 'next', op: 'Abs', input: ['v'] }],
    next: 'next:y:0',
  });
}

/** A loop of as many turns as its one value says. */
export function countdown(): Map<string, Uint8Array> {
  return aLoop(1, {
    goesOn: [
      { name: 'zero', op: 'Sub', input: ['v', 'v'] },
      { name: 'holds', op: 'Less', input: ['zero:z:0', 'v'] },
    ],
    again: [
      { name: 'one', op: 'Sign', input: ['v'] },
      { name: 'next', op: 'Sub', input: ['v', 'one:y:0'] },
    ],
    next: 'next:z:0',
  });
}

interface Loop {
  /** Whether there is another turn for `v`; the last one is called `holds`. */
  readonly goesOn: readonly GraphNode[];
  /** What becomes of `v`. */
  readonly again: readonly GraphNode[];
  readonly next: string;
}

function aLoop(rows: number, { goesOn, again, next }: Loop): Map<string, Uint8Array> {
  const typed = (nodes: readonly GraphNode[]): GraphNode[] =>
    nodes.map((node) => ({ ...node, attr: { T: { type: 'DT_FLOAT' } } }));
  const signature = (name: string, output: { name: string; type: string }): object => ({
    name,
    inputArg: [{ name: 'v', type: 'DT_FLOAT' }],
    outputArg: [output],
  });
  return aGraph(
    [
      placeholder('x', 'DT_FLOAT', [rows]),
      {
        name: 'y',
        op: 'StatelessWhile',
        input: ['x'],
        attr: {
          T: { list: { type: ['DT_FLOAT'] } },
          cond: { func: { name: 'goes_on' } },
          body: { func: { name: 'again' } },
        },
      },
    ],
    [],
    {
      function: [
        {
          signature: signature('goes_on', { name: 'cond', type: 'DT_BOOL' }),
          nodeDef: typed(goesOn),
          ret: { cond: 'holds:z:0' },
        },
        {
          signature: signature('again', { name: 'out', type: 'DT_FLOAT' }),
          nodeDef: typed(again),
          ret: { out: next },
        },
      ],
    },
  );
}
