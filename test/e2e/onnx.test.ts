import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { bootService, type BootedService } from '../support/boot';
import { fixturePath } from '../support/fixtures';
import { type ForgedModel, type ForgedNode, forgeOnnx, ONNX } from '../support/forged-onnx';
import { sendJson, upload } from '../support/uploads';

/** Each type of a signature with what goes in, and comes out as it is. */
const TYPES: Readonly<Record<string, { readonly type: number; readonly rows: unknown[][] }>> = {
  float32: {
    type: ONNX.float,
    rows: [
      [1.5, 'NaN'],
      [-0.25, '-Infinity'],
    ],
  },
  float64: {
    type: ONNX.double,
    rows: [
      [0.1, 1e300],
      [5e-324, 'Infinity'],
    ],
  },
  float16: {
    type: ONNX.float16,
    rows: [
      [65504, -0.5],
      [2 ** -24, 'NaN'],
    ],
  },
  int32: {
    type: ONNX.int32,
    rows: [
      [2147483647, -1],
      [0, 3],
    ],
  },
  int64: {
    type: ONNX.int64,
    rows: [
      [9007199254740991, '-9223372036854775808'],
      [-7, '9007199254740993'],
    ],
  },
  uint8: {
    type: ONNX.uint8,
    rows: [
      [0, 255],
      [7, 128],
    ],
  },
  bool: {
    type: ONNX.bool,
    rows: [
      [true, false],
      [false, true],
    ],
  },
  string: {
    type: ONNX.string,
    rows: [
      ['', 'zwölf'],
      ['𝔘', 'a'],
    ],
  },
};

function everyType(batch: number | string): Uint8Array {
  const names = Object.keys(TYPES);
  const values = (prefix: string) =>
    names.map((name) => ({ name: `${prefix}${name}`, type: TYPES[name]!.type, dims: [batch, 2] }));
  return forgeOnnx({
    nodes: names.map((name) => ({
      op: 'Identity',
      inputs: [`in_${name}`],
      outputs: [`out_${name}`],
    })),
    inputs: values('in_'),
    outputs: values('out_'),
  });
}

describe('an uploaded ONNX model', () => {
  let service: BootedService;
  const url = (path: string): string => `${service.url}/api/${path}`;
  const predict = async (model: string, body: unknown) =>
    await sendJson('POST', url(`models/${model}/predict`), body);
  beforeAll(async () => {
    service = await bootService({ GRIDSTOW_ENGINE: 'auto', GRIDSTOW_MEMORY_MB: '64' });
  });
  afterAll(async () => {
    await service.close();
  });

  it.each([
    ['in one batch', 'n'],
    ['row by row, where it takes one row only', 1],
  ])('takes, gives and records every type exactly: %s', async (_how, batch) => {
    const model = `types-${batch}`;
    const { status, body } = await upload(service.url, model, { 'm.onnx': everyType(batch) });
    expect([status, body.error]).toEqual([201, undefined]);
    expect(body).toMatchObject({ format: 'onnx', state: 'ready', engines: { onnx: { ok: true } } });
    const inputs = Object.fromEntries(
      Object.entries(TYPES).map(([name, { rows }]) => [`in_${name}`, rows]),
    );

    const answered = await predict(model, { inputs });

    expect([answered.status, answered.body.error]).toEqual([200, undefined]);
    const recorded = await sendJson('GET', url(`predictions/${answered.body.predictionId}`));
    for (const [name, { rows }] of Object.entries(TYPES)) {
      expect(answered.body.outputs[`out_${name}`]).toEqual(rows);
      const kept = { dtype: name, shape: [2, 2], values: rows.flat() };
      expect(recorded.body.outputs[`out_${name}`]).toEqual(kept);
      expect(recorded.body.input.tensors[`in_${name}`]).toEqual(kept);
    }
  });

  it('leaves records of every type that can be exported, imported elsewhere and proven', async () => {
    const inputs = Object.fromEntries(
      Object.entries(TYPES).map(([name, { rows }]) => [`in_${name}`, rows]),
    );
    const { body } = await predict('types-n', { inputs });
    const record = await sendJson('GET', url(`predictions/${body.predictionId}`));
    const exported = async (format: string): Promise<string> =>
      await (await fetch(url(`predictions/export?format=${format}&model=types-n`))).text();
    expect(await exported('csv')).toContain('""-9223372036854775808""');
    expect((await exported('parquet')).slice(0, 4)).toBe('PAR1');
    const lines = await exported('ndjson&inputs=true');

    const elsewhere = await bootService({ GRIDSTOW_ENGINE: 'wasm' });
    try {
      const imported = await sendJson('POST', `${elsewhere.url}/api/predictions/import`, lines, {
        'Content-Type': 'application/x-ndjson',
      });
      expect([imported.status, imported.body.error]).toEqual([200, undefined]);
      const there = await sendJson('GET', `${elsewhere.url}/api/predictions/${body.predictionId}`);
      expect(there.body.outputs).toEqual(record.body.outputs);
      expect(there.body.input).toEqual(record.body.input);
    } finally {
      await elsewhere.close();
    }
    const proof = await sendJson('GET', url(`predictions/${body.predictionId}/proof`));
    const outputs = await fetch(url(`predictions/${body.predictionId}/outputs`));
    const bytes = Buffer.from(await outputs.arrayBuffer());
    expect(proof.body.facts.outputsDigest).toBe(
      `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
    );
  });

  it.each([
    ['int64', 9007199254740993, /64 bits .* as a string of its digits/],
    ['int64', '9223372036854775808', /64 bits/],
    ['int64', 0.5, /64 bits/],
    ['float16', 65520, /which float16 cannot hold/],
    ['uint8', 256, /from 0 to 255/],
    ['float64', true, /a number was expected/],
  ])('refuses for %s what it could only round: %p', async (name, value, fault) => {
    const inputs = Object.fromEntries(
      Object.entries(TYPES).map(([type, { rows }]) => [`in_${type}`, rows]),
    );
    inputs[`in_${name}`] = [
      [value, value],
      [value, value],
    ];

    const { status, body } = await predict('types-n', { inputs });

    expect(status).toBe(422);
    expect(body.details.faults[0].message).toMatch(fault);
  });

  it('is a real one that reads which way up a line of text is', async () => {
    const bytes = readFileSync(fixturePath('onnx/ch_ppocr_mobile_v2.0_cls_infer.onnx'));
    const { status, body } = await upload(service.url, 'ocr', {
      'cls.onnx': bytes,
      'labels.txt': '0\n180',
    });
    expect([status, body.error]).toEqual([201, undefined]);
    const plane = Array.from({ length: 48 }, () => Array.from({ length: 192 }, () => 0.5));

    const answered = await predict('ocr', { instances: [[plane, plane, plane]] });

    expect([answered.status, answered.body.error]).toEqual([200, undefined]);
    const [[up, down]] = answered.body.predictions as [[number, number]];
    expect(up + down).toBeCloseTo(1, 5);
  });

  it('is a real one of which only its uploader knows the sizes', async () => {
    const bytes = readFileSync(fixturePath('onnx/silero_vad_half.onnx'));
    const inputs = [
      { name: 'input', dtype: 'float32', shape: [1, 576] },
      { name: 'state', dtype: 'float32', shape: [2, 1, 128] },
    ];

    const unsaid = await upload(service.url, 'vad', { 'm.onnx': bytes });
    const metadata = { signature: { inputs, outputs: [] } };
    const said = await upload(service.url, 'vad', { 'm.onnx': bytes }, { metadata });

    expect([unsaid.status, unsaid.body.code]).toEqual([422, 'version_rejected']);
    expect(unsaid.body.error).toMatch(/the signature of the metadata can say which ones it takes/);
    expect([said.status, said.body.error]).toEqual([201, undefined]);
    const silence = {
      input: [Array.from({ length: 576 }, () => 0)],
      state: Array.from({ length: 2 }, () => [Array.from({ length: 128 }, () => 0)]),
    };
    const { body } = await predict('vad', { inputs: silence });
    expect(body.outputs.output[0][0]).toBeLessThan(0.1);
  });

  it('names the labels of its scores, which stand behind the class itself', async () => {
    const model = forgeOnnx({
      tensors: [{ name: 'axis', type: ONNX.int64, dims: [1], longs: [1] }],
      nodes: [
        { op: 'ArgMax', inputs: ['x'], outputs: ['class'], ints: { axis: 1, keepdims: 0 } },
        { op: 'Identity', inputs: ['x'], outputs: ['scores'] },
      ],
      outputs: [
        { name: 'class', type: ONNX.int64, dims: ['n'] },
        { name: 'scores', dims: ['n', 2] },
      ],
    });
    const metadata = { labels: ['no', 'yes'] };
    const { body } = await upload(service.url, 'classes', { 'm.onnx': model }, { metadata });
    expect(body.warnings).toEqual([]);

    const answered = await predict('classes', { instances: [[0.25, 0.75]] });

    expect(answered.body.predictions).toEqual([{ class: 1, scores: [0.25, 0.75] }]);
    expect(answered.body.top[0][0]).toEqual({ label: 'yes', score: 0.75 });
  });

  const shape = (...longs: number[]) => [
    { name: 'shape', type: ONNX.int64, dims: [longs.length], longs },
  ];
  const HOSTILE: [what: string, model: ForgedModel][] = [
    [
      'ConstantOfShape',
      {
        tensors: shape(1_000_000, 1_000_000),
        nodes: [
          { op: 'ConstantOfShape', inputs: ['shape'], outputs: ['big'] },
          { op: 'ReduceMax', inputs: ['big'], outputs: ['one'], ints: { keepdims: 0 } },
          { op: 'Add', inputs: ['x', 'one'], outputs: ['y'] },
        ],
      },
    ],
    ['Expand', bySize('Expand', shape(1_000_000, 500_000, 2))],
    ['Tile', bySize('Tile', shape(1_000_000_000_000, 1))],
    [
      'Range',
      {
        tensors: [0, 1_000_000_000_000, 1].map((long, index) => ({
          name: `r${index}`,
          type: ONNX.int64,
          longs: [long],
        })),
        nodes: [
          { op: 'Range', inputs: ['r0', 'r1', 'r2'], outputs: ['many'] },
          { op: 'Cast', inputs: ['many'], outputs: ['z'], ints: { to: ONNX.float } },
          { op: 'ReduceMax', inputs: ['z'], outputs: ['one'], ints: { keepdims: 0 } },
          { op: 'Add', inputs: ['x', 'one'], outputs: ['y'] },
        ],
      },
    ],
    [
      'Resize',
      {
        tensors: [{ name: 'scales', dims: [2], floats: [1e6, 1e6] }],
        nodes: [
          { op: 'Resize', inputs: ['x', '', 'scales'], outputs: ['big'] },
          { op: 'ReduceMax', inputs: ['big'], outputs: ['y'] },
        ],
      },
    ],
    ['Expand, in memory that is there', bySize('Expand', shape(2_000_000_000, 1, 2))],
    [
      'an operator that there is not',
      { nodes: [{ op: 'MakeTea', inputs: ['x'], outputs: ['y'] }] },
    ],
  ];
  it.each(HOSTILE)(
    'fails and harms nobody when it makes a monster of nothing: %s',
    async (what, model) => {
      const name = `monster-${what.replaceAll(/[^A-Za-z]/g, '')}`;

      const { status, body } = await upload(service.url, name, { 'm.onnx': forgeOnnx(model) });

      expect([status, body.code]).toEqual([422, 'version_rejected']);
      const failed = await sendJson('GET', url(`models/${name}/versions/1`));
      expect(failed.body.state).toBe('failed');
      expect(failed.body.failure.message).toMatch(/onnx engine|cannot compute/);
      const answered = await predict('classes', { instances: [[0.25, 0.75]] });
      expect(answered.status).toBe(200);
    },
  );
});

/** From a matrix `m0` of `LARGE_SHAPE` to `m2000`, which takes minutes. */
const LARGE_SHAPE = { name: 'shape', type: ONNX.int64, dims: [2], longs: [2048, 2048] };
const PRODUCTS = Array.from({ length: 2_000 }, (_, index) => ({
  op: 'MatMul',
  inputs: [`m${index}`, 'm0'],
  outputs: [`m${index + 1}`],
}));

describe('an ONNX model that computes without end', () => {
  it('fails at the deadline of a prediction, and the next one is served', async () => {
    const service = await bootService({
      GRIDSTOW_ENGINE: 'auto',
      GRIDSTOW_PREDICT_TIMEOUT_MS: '3000',
    });
    try {
      // Nothing of it is constant, so that nothing is computed before.
      const model = forgeOnnx({
        tensors: [LARGE_SHAPE],
        inputs: [{ name: 'x', dims: ['n', 1] }],
        nodes: [
          { op: 'ReduceMax', inputs: ['x'], outputs: ['one'], ints: { keepdims: 0 } },
          { op: 'Expand', inputs: ['one', 'shape'], outputs: ['m0'] },
          ...PRODUCTS,
          { op: 'ReduceMax', inputs: ['m2000'], outputs: ['y'], ints: { keepdims: 0 } },
        ],
        outputs: [{ name: 'y', dims: [] }],
      });

      const endless = await upload(service.url, 'endless', { 'm.onnx': model });
      const next = await upload(service.url, 'next', { 'm.onnx': forgeOnnx() });

      expect([endless.status, endless.body.code]).toEqual([422, 'version_rejected']);
      expect(endless.body.error).toMatch(/did not finish within 3000 ms/);
      expect([next.status, next.body.engines.onnx.ok]).toEqual([201, true]);
    } finally {
      await service.close();
    }
  });
});

describe('an ONNX model whose constants are computed without end while it is opened', () => {
  it('is refused at a deadline of its own, and the upload behind it is served', async () => {
    const service = await bootService({
      GRIDSTOW_ENGINE: 'auto',
      GRIDSTOW_OPEN_TIMEOUT_MS: '3000',
    });
    try {
      const model = forgeOnnx({
        tensors: [LARGE_SHAPE],
        inputs: [{ name: 'x', dims: ['n', 2] }],
        nodes: [
          { op: 'ConstantOfShape', inputs: ['shape'], outputs: ['m0'] },
          ...PRODUCTS,
          { op: 'ReduceMax', inputs: ['m2000'], outputs: ['one'], ints: { keepdims: 0 } },
          { op: 'Add', inputs: ['x', 'one'], outputs: ['y'] },
        ],
        outputs: [{ name: 'y', dims: ['n', 2] }],
      });

      const [endless, next] = await Promise.all([
        upload(service.url, 'endless', { 'm.onnx': model }),
        upload(service.url, 'next', { 'm.onnx': forgeOnnx() }),
      ]);

      expect([endless.status, endless.body.code]).toEqual([422, 'version_rejected']);
      expect(endless.body.error).toMatch(
        /The onnx engine had not opened the model after 3 s; .* GRIDSTOW_OPEN_TIMEOUT_MS/,
      );
      expect([next.status, next.body.engines.onnx.ok]).toEqual([201, true]);
    } finally {
      await service.close();
    }
  });
});

/** An operator that makes `x` as large as a stored shape says, and something small of the result. */
function bySize(op: string, tensors: NonNullable<ForgedModel['tensors']>): ForgedModel {
  const nodes: ForgedNode[] = [
    { op, inputs: ['x', 'shape'], outputs: ['big'] },
    { op: 'ReduceMax', inputs: ['big'], outputs: ['y'], ints: { keepdims: 0 } },
  ];
  return {
    tensors,
    nodes,
    inputs: [{ name: 'x', dims: ['n', 2] }],
    outputs: [{ name: 'y', dims: [] }],
  };
}

describe('an ONNX model where ONNX Runtime is not in use', () => {
  let service: BootedService;
  beforeAll(async () => {
    service = await bootService({ GRIDSTOW_ENGINE: 'wasm' });
  });
  afterAll(async () => {
    await service.close();
  });

  it('is ready, and says which engine it needs and how to get it', async () => {
    const { status, body } = await upload(service.url, 'net', { 'm.onnx': forgeOnnx() });

    expect([status, body.error]).toEqual([201, undefined]);
    expect(body).toMatchObject({
      state: 'ready',
      format: 'onnx',
      engines: { onnx: { ok: false, code: 'engine_missing' } },
    });
    const predicted = await sendJson('POST', `${service.url}/api/models/net/predict`, {
      instances: [[1, 2]],
    });
    expect(predicted).toMatchObject({ status: 409, body: { code: 'engine_missing' } });
    expect(predicted.body.error).toContain('npm install --include=optional');
  });
});
