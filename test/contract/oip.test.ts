import { readFileSync } from 'node:fs';
import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib';

import { bootService, type BootedService } from '../support/boot';
import { fixturePath } from '../support/fixtures';
import { forgeOnnx, ONNX } from '../support/forged-onnx';
import { differences, goldenInputs, readGolden } from '../support/golden';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

const JSON_LENGTH = 'Inference-Header-Content-Length';

let service: BootedService;

/** Every datatype of ONNX that a model can have here, given back as it came. */
const ECHO = {
  FP32: ONNX.float,
  FP64: ONNX.double,
  FP16: ONNX.float16,
  INT32: ONNX.int32,
  INT64: ONNX.int64,
  UINT8: ONNX.uint8,
  BOOL: ONNX.bool,
  BYTES: ONNX.string,
} as const;

function echoModel(types: Readonly<Record<string, number>>, width = 2): Uint8Array {
  const names = Object.keys(types);
  return forgeOnnx({
    nodes: names.map((name) => ({ op: 'Identity', inputs: [name], outputs: [`y_${name}`] })),
    inputs: names.map((name) => ({ name, type: types[name]!, dims: ['n', width] })),
    outputs: names.map((name) => ({ name: `y_${name}`, type: types[name]!, dims: ['n', width] })),
  });
}

beforeAll(async () => {
  service = await bootService({ GRIDSTOW_ENGINE: 'auto', GRIDSTOW_MAX_BODY_MB: '2' });
  const answers = await Promise.all([
    upload(service.url, 'cancer', fixtureFiles('tfjs/cancer-mlp.k3h5.fixed'), {
      metadata: { labels: ['malignant'] },
    }),
    upload(service.url, 'digits', fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed'), {
      metadata: { labels: Array.from('0123456789', (digit) => `digit ${digit}`) },
    }),
    upload(service.url, 'multi', fixtureFiles('tfjs/digits-multi.k3h5.fixed')),
    upload(service.url, 'all', { 'm.onnx': echoModel(ECHO) }),
    upload(service.url, 'kept', { 'notes.txt': 'not a model' }, { metadata: { format: 'opaque' } }),
    upload(service.url, 'text', { 'm.onnx': echoModel({ BYTES: ONNX.string }, 1) }),
  ]);
  expect(answers.map(({ status, body }) => [status, body.error])).toEqual(
    answers.map(() => [201, undefined]),
  );
});

afterAll(async () => {
  await service.close();
});

const v2 = (path: string): string => `${service.url}/v2/${path}`;
const get = async (path: string) => await sendJson('GET', v2(path));
const infer = async (model: string, body: unknown, headers: Record<string, string> = {}) =>
  await sendJson('POST', v2(`models/${model}/infer`), body, headers);

interface BinaryAnswer {
  readonly status: number;
  readonly body: any;
  readonly binary: Buffer;
  readonly headers: Headers;
}

/** Sends bytes behind a JSON part, and takes the answer apart in the same way. */
async function inferBinary(
  model: string,
  json: unknown,
  bytes: Uint8Array = Buffer.alloc(0),
  headers: Record<string, string> = {},
): Promise<BinaryAnswer> {
  const text = typeof json === 'string' ? json : JSON.stringify(json);
  const response = await fetch(v2(`models/${model}/infer`), {
    method: 'POST',
    headers: { [JSON_LENGTH]: String(Buffer.byteLength(text)), ...headers },
    body: Buffer.concat([Buffer.from(text), bytes]),
  });
  const answer = Buffer.from(await response.arrayBuffer());
  const given = response.headers.get(JSON_LENGTH);
  const length = given === null ? answer.length : Number(given);
  return {
    status: response.status,
    body: JSON.parse(answer.subarray(0, length).toString()),
    binary: answer.subarray(length),
    headers: response.headers,
  };
}

const bytesOf = (values: NodeJS.TypedArray): Buffer =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength);
const floatsIn = (bytes: Uint8Array): Float32Array =>
  new Float32Array(Uint8Array.from(bytes).buffer);

/** Texts as the binary form has them. */
const textBytes = (...texts: string[]): Buffer =>
  Buffer.concat(
    texts.flatMap((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(text));
      return [length, Buffer.from(text)];
    }),
  );

const record = async (answer: { body: any }): Promise<any> =>
  (await sendJson('GET', `${service.url}/api/predictions/${answer.body.parameters.prediction_id}`))
    .body;

const ROW = Array.from({ length: 30 }, (_, place) => place / 30);
const aRow = (more: object = {}): object => ({
  inputs: [{ name: 'features', datatype: 'FP32', shape: [1, 30], data: ROW }],
  ...more,
});

describe('server and models, as the protocol describes them', () => {
  it.each(['', '/'])('names itself and its extensions at /v2%s', async (slash) => {
    const { status, body } = await sendJson('GET', `${service.url}/v2${slash}`);

    expect(status).toBe(200);
    expect(body).toEqual({
      name: 'gridstow',
      version: '0.1.0',
      extensions: [
        'binary_tensor_data',
        'classification',
        'model_configuration',
        'model_repository',
        'parameters',
        'statistics',
      ],
    });
  });

  it.each(['live', 'ready'])('is %s with both keys, whichever a client looks for', async (what) => {
    expect(await get(`health/${what}`)).toMatchObject({
      status: 200,
      body: { live: true, ready: true },
    });
  });

  it.each([
    ['models/digits/ready', 200, { name: 'digits', live: true, ready: true }],
    ['models/digits%40live/ready', 200, { name: 'digits', live: true, ready: true }],
    ['models/digits/versions/1/ready', 200, { name: 'digits', live: true, ready: true }],
    ['models/nobody/ready', 404, { error: 'There is no model nobody' }],
    ['models/digits@canary/ready', 404, { error: 'Model digits has no alias canary' }],
    ['models/digits/versions/7/ready', 404, { error: expect.any(String) }],
    ['models/digits/versions/x/ready', 400, { error: 'A version is a positive whole number' }],
    ['models/kept/ready', 400, { error: expect.stringContaining('kept as files') }],
  ])('says whether a model can be asked: %s', async (path, status, body) => {
    const answer = await get(path);

    expect([answer.status, answer.body]).toEqual([status, body]);
  });

  it('describes inputs and outputs, with -1 for the size that the caller chooses', async () => {
    const { status, body } = await get('models/digits/versions/1');

    expect(status).toBe(200);
    expect(body).toEqual({
      name: 'digits',
      versions: ['1'],
      platform: 'tensorflowjs_layers_model',
      inputs: [{ name: 'image', datatype: 'FP32', shape: [-1, 8, 8, 1] }],
      outputs: [{ name: 'probs', datatype: 'FP32', shape: [-1, 10] }],
    });
    expect((await get('models/all')).body.inputs.map((one: any) => one.datatype)).toEqual(
      Object.keys(ECHO),
    );
  });

  it('shows the configuration in the terms of Triton', async () => {
    const { status, body } = await get('models/text/config');

    expect(status).toBe(200);
    expect(body).toEqual({
      name: 'text',
      platform: 'onnx_onnxv1',
      backend: 'gridstow',
      version_policy: { specific: { versions: [1] } },
      max_batch_size: 4096,
      input: [{ name: 'BYTES', data_type: 'TYPE_STRING', dims: [1] }],
      output: [{ name: 'y_BYTES', data_type: 'TYPE_STRING', dims: [1] }],
      dynamic_batching: { max_queue_delay_microseconds: 0 },
    });
  });

  it('says of other methods and paths what there is, under error', async () => {
    const wrong = await sendJson('GET', v2('models/digits/infer'));
    const unknown = await sendJson('GET', v2('nothing'));

    expect([wrong.status, unknown.status]).toEqual([405, 404]);
    expect([wrong.body.error, unknown.body.error]).toEqual([
      expect.any(String),
      expect.any(String),
    ]);
  });
});

/** All inputs of the echo model, those that are given and zeros. */
function echoInputs(given: Readonly<Record<string, object>>): object[] {
  return Object.keys(ECHO).map((name) => {
    const zero = name === 'BYTES' ? '' : name === 'BOOL' ? false : 0;
    const usual = { datatype: name, shape: [1, 2], data: [zero, zero] };
    return { name, ...(given[name] ?? usual) };
  });
}

/** Bytes as a binary input, and the rest of the echo model as zeros. */
const binaryInput = (datatype: string, bytes: Uint8Array, shape = [1, 2]): object => ({
  datatype,
  shape,
  parameters: { binary_data_size: bytes.length },
});

/** One output of an answer. */
const outputOf = (answer: { body: any }, name: string): any =>
  answer.body.outputs?.find((one: any) => one.name === name);

describe('inference in JSON', () => {
  it('answers flat data with the id of the caller, and keeps the record', async () => {
    const answer = await infer('cancer', aRow({ id: 'mine' }), { 'Content-Type': 'text/plain' });

    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      model_name: 'cancer',
      model_version: '1',
      id: 'mine',
      parameters: { prediction_id: answer.headers.get('Gridstow-Prediction-Id') },
      outputs: [
        { name: expect.any(String), datatype: 'FP32', shape: [1, 1], data: [expect.any(Number)] },
      ],
    });
    const native = await sendJson('POST', `${service.url}/api/models/cancer/predict`, {
      inputs: [ROW],
    });
    expect(answer.body.outputs[0].data).toEqual(Object.values<any>(native.body.outputs)[0].flat());
    const kept = await record(answer);
    expect(kept).toMatchObject({
      model: 'cancer',
      version: 1,
      alias: 'live',
      protocol: 'oip',
      callerId: 'mine',
      rows: 1,
      status: 'ok',
      input: { kind: 'tensors', tensors: { features: { dtype: 'float32', shape: [1, 30] } } },
    });
    expect(kept.input.tensors.features.values).toEqual(ROW.map(Math.fround));
    expect(Object.values<any>(kept.outputs)[0].values).toEqual(answer.body.outputs[0].data);
  });

  it.each(['cancer@live', 'cancer%40live', 'cancer/versions/1'])(
    'takes an alias or a number: %s',
    async (ref) => {
      const answer = await infer(ref, aRow());

      expect([answer.status, answer.body.model_name, answer.body.model_version]).toEqual([
        200,
        'cancer',
        '1',
      ]);
    },
  );

  it('takes nested lists as it takes flat ones', async () => {
    const nested = Array.from({ length: 2 }, () => ROW);
    const sent = (data: unknown): object => ({
      inputs: [{ name: 'features', datatype: 'FP32', shape: [2, 30], data }],
    });

    const [deep, flat] = [
      await infer('cancer', sent(nested)),
      await infer('cancer', sent(nested.flat())),
    ];

    expect([deep.status, flat.status]).toEqual([200, 200]);
    expect(deep.body.outputs).toEqual(flat.body.outputs);
    expect(deep.body.outputs[0].shape).toEqual([2, 1]);
  });

  it('gives the outputs that were asked for, in that order', async () => {
    const { body: metadata } = await get('models/multi');
    const names = metadata.outputs.map(({ name }: any) => name).reverse();
    const inputs = metadata.inputs.map(({ name, datatype, shape }: any) => {
      const whole = [1, ...shape.slice(1)];
      const data = Array<number>(whole.reduce((a: number, b: number) => a * b)).fill(0.5);
      return { name, datatype, shape: whole, data };
    });

    const both = await infer('multi', { inputs, outputs: names.map((name: string) => ({ name })) });
    const one = await infer('multi', { inputs, outputs: [{ name: names[0] }] });
    const all = await infer('multi', { inputs, outputs: [] });

    expect(both.body.outputs.map(({ name }: any) => name)).toEqual(names);
    expect(one.body.outputs).toEqual([both.body.outputs[0]]);
    expect(all.body.outputs).toEqual([...both.body.outputs].reverse());
    expect(Object.keys((await record(one)).outputs)).toHaveLength(2);
  });

  it('takes and gives every type exactly, whole numbers of 64 bits as plain digits', async () => {
    const values: Record<string, string> = {
      FP32: '[1.5,-0.25]',
      FP64: '[0.1,1e+300]',
      FP16: '[65504,-0.5]',
      INT32: '[2147483647,-2147483648]',
      INT64: '[9223372036854775807,-9007199254740993]',
      UINT8: '[0,255]',
      BOOL: '[true,false]',
      BYTES: '["zwölf","𝔘"]',
    };
    const inputs = Object.entries(values).map(
      ([name, data]) => `{"name":"${name}","datatype":"${name}","shape":[1,2],"data":${data}}`,
    );

    const response = await fetch(v2('models/all/infer'), {
      method: 'POST',
      body: `{"inputs":[${inputs.join(',')}]}`,
    });
    const text = await response.text();

    expect(response.status).toBe(200);
    for (const [name, data] of Object.entries(values)) {
      expect(text).toContain(
        `{"name":"y_${name}","datatype":"${name}","shape":[1,2],"data":${data}}`,
      );
    }
    const kept = await record({ body: JSON.parse(text) });
    expect(kept.input.tensors.INT64.values).toEqual(['9223372036854775807', '-9007199254740993']);
  });

  it('takes what is not finite as Python writes it and as strings, and gives strings', async () => {
    const answer = await infer(
      'all',
      JSON.stringify({
        inputs: echoInputs({ FP32: { datatype: 'FP32', shape: [2, 2], data: 'HERE' } }).map(
          (input: any) =>
            input.data === 'HERE'
              ? input
              : { ...input, shape: [2, 2], data: [...input.data, ...input.data] },
        ),
      }).replace('"HERE"', '[NaN,-Infinity,"Infinity",12345678901234567890]'),
    );

    expect([answer.status, answer.body.error]).toEqual([200, undefined]);
    expect(outputOf(answer, 'y_FP32').data).toEqual([
      'NaN',
      '-Infinity',
      'Infinity',
      Math.fround(12345678901234567890),
    ]);
  });

  it.each([
    ['UINT32', 'INT64', [0, 4294967295]],
    ['UINT64', 'INT64', [0, 9007199254740991]],
    ['INT8', 'INT32', [-128, 127]],
    ['INT64', 'INT32', [-2147483648, 2147483647]],
    ['UINT16', 'INT64', [0, 65535]],
    ['INT16', 'UINT8', [0, 255]],
    ['FP32', 'FP64', [0.5, -1]],
    ['FP16', 'FP32', [0.5, -1]],
  ])('takes %s for %s where nothing is lost', async (datatype, name, data) => {
    const answer = await infer('all', {
      inputs: echoInputs({ [name]: { datatype, shape: [1, 2], data } }),
    });

    expect([answer.status, answer.body.error]).toEqual([200, undefined]);
    expect(outputOf(answer, `y_${name}`)).toMatchObject({ datatype: name, data });
  });

  it.each([
    ['INT64', 'INT32', [2147483648, 0], /2147483648/],
    ['UINT64', 'INT64', ['18446744073709551615', 0], /18446744073709551615/],
    ['UINT64', 'INT64', [-1, 0], /-1 at place 0, which is no UINT64/],
    ['INT8', 'INT32', [128, 0], /128 at place 0, which is no INT8/],
    ['FP64', 'FP32', [0.5, 1], /FP64, the model takes FP32/],
    ['INT32', 'FP32', [1, 2], /INT32, the model takes FP32/],
    ['INT32', 'INT32', [1.5, 2], /1\.5/],
    ['UINT8', 'UINT8', [256, 2], /256/],
    ['BOOL', 'BOOL', [2, true], /true or false/],
    ['BYTES', 'BYTES', [1, 'a'], /a string was expected/],
    ['BF16', 'FP32', [1, 2], /BF16.*binary/],
    ['FP32', 'FP32', [1e39, 2], /float32 cannot hold/],
  ])('refuses %s for %s where something would be lost: %j', async (datatype, name, data, why) => {
    const answer = await infer('all', {
      inputs: echoInputs({ [name]: { datatype, shape: [1, 2], data } }),
    });

    expect(answer.status).toBe(400);
    expect(Object.keys(answer.body)).toEqual(['error']);
    expect(answer.body.error).toMatch(why);
  });

  it('refuses a whole number that was never rounded on its way, beyond what 64 bits hold', async () => {
    const body = JSON.stringify({
      inputs: echoInputs({ INT64: { datatype: 'UINT64', shape: [1, 2], data: 'HERE' } }),
    }).replace('"HERE"', '[18446744073709551615,0]');

    const answer = await infer('all', body);

    expect([answer.status, answer.body.error]).toEqual([
      400,
      expect.stringContaining('18446744073709551615'),
    ]);
  });

  const input = { name: 'features', datatype: 'FP32', shape: [1, 30], data: ROW };
  it.each<[string, unknown, RegExp]>([
    ['no JSON', '{"inputs":', /not JSON/],
    ['nothing', '', /empty/],
    ['a list', [], /JSON object/],
    ['no inputs', {}, /inputs must be a list/],
    ['an empty list of inputs', { inputs: [] }, /at least one/],
    ['an input that is no object', { inputs: [7] }, /inputs\[0\] must be an object/],
    ['no name', { inputs: [{ ...input, name: undefined }] }, /inputs\[0\]\.name/],
    [
      'a name that the model does not have',
      { inputs: [{ ...input, name: 'x' }] },
      /no input of the model; it takes features/,
    ],
    ['an input twice', { inputs: [input, input] }, /second time/],
    ['no datatype', { inputs: [{ ...input, datatype: 'FLOAT' }] }, /datatype must be one of BOOL/],
    ['no shape', { inputs: [{ ...input, shape: undefined }] }, /shape must be a list/],
    ['a shape of half a row', { inputs: [{ ...input, shape: [0.5, 30] }] }, /shape must be a list/],
    ['a negative size', { inputs: [{ ...input, shape: [-1, 30] }] }, /shape must be a list/],
    ['no row', { inputs: [{ ...input, shape: [0, 30], data: [] }] }, /shape is \[0, 30\]/],
    ['another rank', { inputs: [{ ...input, shape: [30] }] }, /shape is \[30\], the model takes/],
    ['too few values', { inputs: [{ ...input, data: [1, 2] }] }, /a list of 2, a list of 30/],
    [
      'a shape beyond all memory',
      { inputs: [{ ...input, shape: [9007199254740991, 30] }] },
      /list of 30/,
    ],
    [
      'ragged lists',
      { inputs: [{ ...input, shape: [2, 30], data: [ROW, [1]] }] },
      /data\[1\] is a list of 1/,
    ],
    ['neither data nor bytes', { inputs: [{ ...input, data: undefined }] }, /has neither/],
    [
      'bytes that are not there',
      { inputs: [{ ...input, data: undefined, parameters: { binary_data_size: 120 } }] },
      /announce 120 bytes/,
    ],
    ['parameters that are a list', { ...aRow(), parameters: [] }, /parameters must be an object/],
    [
      'a parameter that is an object',
      { ...aRow(), parameters: { a: {} } },
      /parameters\.a must be a string/,
    ],
    [
      'a sequence',
      { ...aRow(), parameters: { sequence_id: 7, sequence_start: true } },
      /sequence_id is refused.*no sequences/,
    ],
    ['a reserved parameter', { ...aRow(), parameters: { triton_x: 1 } }, /"triton_x" is reserved/],
    [
      'a timeout that is no number',
      { ...aRow(), parameters: { timeout: 'soon' } },
      /timeout must be/,
    ],
    ['an unknown output', { ...aRow(), outputs: [{ name: 'x' }] }, /no output of the model/],
    ['an id of a number', { ...aRow(), id: 7 }, /id must be a text/],
    [
      'too many rows',
      { inputs: [{ ...input, shape: [4097, 30], data: Array(4097 * 30).fill(0) }] },
      /4097 rows, at most 4096/,
    ],
    ['keys that stand twice', '{"inputs":[],"inputs":[]}', /stands twice/],
    ['nesting without end', '['.repeat(100_000), /nested deeper/],
  ])('refuses %s with 400 and one sentence', async (_what, body, why) => {
    const answer = await infer('cancer', body);

    expect([answer.status, Object.keys(answer.body)]).toEqual([400, ['error']]);
    expect(answer.body.error).toMatch(why);
  });

  it.each([
    ['nobody', 404],
    ['cancer@nowhere', 404],
    ['cancer/versions/9', 404],
    ['cancer/versions/latest', 400],
    ['no%20name', 400],
    ['kept', 400],
  ])('refuses the model %s with %d', async (model, status) => {
    const answer = await infer(model, aRow());

    expect([answer.status, answer.body]).toEqual([status, { error: expect.any(String) }]);
  });

  it('has no shared memory, and says so with 501', async () => {
    const shared = { ...input, data: undefined, parameters: { shared_memory_region: 'a' } };

    const answer = await infer('cancer', { inputs: [shared] });

    expect([answer.status, answer.body]).toEqual([
      501,
      { error: expect.stringContaining('shared memory') },
    ]);
  });

  it('lets priority, parameters of others and idle sequences pass', async () => {
    const parameters = {
      priority: 2,
      mine: 'x',
      sequence_id: 0,
      sequence_end: false,
      timeout: 9e9,
    };

    expect((await infer('cancer', aRow({ parameters }))).status).toBe(200);
  });

  it('reads large JSON elsewhere, with the same answer and the same faults', async () => {
    const [rows, row] = [1000, ROW.map((value) => value + 1e-7)];
    const data = Array.from({ length: rows }, () => row);
    const large = { name: 'features', datatype: 'FP32', shape: [rows, 30], data };

    const answer = await infer('cancer', { inputs: [large] });
    const wrong = await infer('cancer', {
      inputs: [{ ...large, data: [...data.slice(1), ['x']] }],
    });

    expect(JSON.stringify(data).length).toBeGreaterThan(256 * 1024);
    expect([answer.status, answer.body.outputs[0].shape]).toEqual([200, [rows, 1]]);
    expect((await record(answer)).rows).toBe(rows);
    expect([wrong.status, wrong.body.error]).toEqual([400, expect.stringContaining('data[999]')]);
  });

  it('refuses a body over the limit before reading it', async () => {
    const answer = await infer('cancer', `"${'x'.repeat(3 * 1024 * 1024)}"`);

    expect([answer.status, answer.body]).toEqual([
      400,
      { error: expect.stringContaining('larger than') },
    ]);
  });
});

describe('binary tensors', () => {
  it('answers bytes for bytes, every type as its own', async () => {
    const sent: Record<string, Buffer> = {
      FP32: bytesOf(Float32Array.of(0.1, NaN)),
      FP64: bytesOf(Float64Array.of(0.1, -Infinity)),
      FP16: bytesOf(Uint16Array.of(0x3c01, 0xfc00)),
      INT32: bytesOf(Int32Array.of(-7, 2147483647)),
      INT64: bytesOf(BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n)),
      UINT8: bytesOf(Uint8Array.of(0, 255)),
      BOOL: bytesOf(Uint8Array.of(1, 0)),
      BYTES: textBytes('zwölf', ''),
    };
    const inputs = echoInputs(
      Object.fromEntries(
        Object.entries(sent).map(([name, bytes]) => [name, binaryInput(name, bytes)]),
      ),
    );

    const answer = await inferBinary(
      'all',
      { id: 'b', inputs, parameters: { binary_data_output: true } },
      Buffer.concat(Object.values(sent)),
    );

    expect([answer.status, answer.body.error]).toEqual([200, undefined]);
    expect(answer.headers.get('Content-Type')).toBe('application/octet-stream');
    expect(answer.body.outputs).toEqual(
      Object.entries(sent).map(([name, bytes]) => ({
        name: `y_${name}`,
        datatype: name,
        shape: [1, 2],
        parameters: { binary_data_size: bytes.length },
      })),
    );
    expect(answer.binary).toEqual(Buffer.concat(Object.values(sent)));
    expect((await record(answer)).input.tensors.INT64.values).toEqual([
      '-9223372036854775808',
      '9223372036854775807',
    ]);
  });

  it('mixes lists and bytes, wherever the JSON part happens to end', async () => {
    for (const id of ['a', 'ab', 'abc', 'abcd']) {
      const bytes = [bytesOf(Float64Array.of(1.5, 2)), bytesOf(BigInt64Array.of(3n, -4n))];
      const inputs = echoInputs({
        FP64: binaryInput('FP64', bytes[0]!),
        INT64: binaryInput('INT64', bytes[1]!),
        INT32: { datatype: 'INT32', shape: [1, 2], data: [5, 6] },
      });
      const outputs = [
        { name: 'y_INT64', parameters: { binary_data: false } },
        { name: 'y_FP64' },
        { name: 'y_INT32', parameters: { binary_data: true } },
      ];

      const answer = await inferBinary(
        'all',
        { id, inputs, outputs, parameters: { binary_data_output: true } },
        Buffer.concat(bytes),
      );

      expect(answer.body.outputs).toEqual([
        { name: 'y_INT64', datatype: 'INT64', shape: [1, 2], data: [3, -4] },
        { name: 'y_FP64', datatype: 'FP64', shape: [1, 2], parameters: { binary_data_size: 16 } },
        { name: 'y_INT32', datatype: 'INT32', shape: [1, 2], parameters: { binary_data_size: 8 } },
      ]);
      expect(answer.binary).toEqual(Buffer.concat([bytes[0]!, bytesOf(Int32Array.of(5, 6))]));
    }
  });

  it.each<[string, string, Buffer, number[]]>([
    ['BF16', 'FP32', bytesOf(Uint16Array.of(0x3fc0, 0xc000)), [1.5, -2]],
    ['FP16', 'FP32', bytesOf(Uint16Array.of(0x3e00, 0xc000)), [1.5, -2]],
    ['BF16', 'FP64', bytesOf(Uint16Array.of(0x3fc0, 0xc000)), [1.5, -2]],
    ['UINT64', 'INT64', bytesOf(BigUint64Array.of(7n, 2n ** 53n - 1n)), [7, 2 ** 53 - 1]],
    ['UINT32', 'INT64', bytesOf(Uint32Array.of(7, 4294967295)), [7, 4294967295]],
    ['INT64', 'INT32', bytesOf(BigInt64Array.of(7n, -1n)), [7, -1]],
    ['INT8', 'INT32', bytesOf(Int8Array.of(-128, 127)), [-128, 127]],
    ['UINT16', 'INT32', bytesOf(Uint16Array.of(0, 65535)), [0, 65535]],
    ['UINT8', 'INT32', bytesOf(Uint8Array.of(0, 255)), [0, 255]],
  ])('takes %s for %s without rounding', async (datatype, name, bytes, values) => {
    const inputs = echoInputs({ [name]: binaryInput(datatype, bytes) });

    const answer = await inferBinary('all', { inputs }, bytes);

    expect([answer.status, answer.body.error]).toEqual([200, undefined]);
    expect(outputOf(answer, `y_${name}`).data).toEqual(values);
  });

  it('gives the golden outputs of a real model, by JSON and by bytes', async () => {
    const golden = readGolden('tfjs/digits-multi.k3h5.fixed');
    const tensors = goldenInputs(golden);
    const described = Object.entries(tensors).map(([name, { shape }]) => ({
      name,
      datatype: 'FP32',
      shape,
    }));
    const bytes = Buffer.concat(Object.values(tensors).map(({ data }) => data));
    const inBytes = described.map((input) => ({
      ...input,
      parameters: { binary_data_size: tensors[input.name]!.data.length },
    }));
    const inLists = described.map((input) => ({
      ...input,
      data: Array.from(floatsIn(tensors[input.name]!.data)),
    }));

    const binary = await inferBinary(
      'multi',
      { inputs: inBytes, parameters: { binary_data_output: true } },
      bytes,
    );
    const listed = await infer('multi', { inputs: inLists });

    expect([binary.status, listed.status]).toEqual([200, 200]);
    let at = 0;
    binary.body.outputs.forEach(({ name, shape, parameters }: any, place: number) => {
      const data = binary.binary.subarray(at, (at += parameters.binary_data_size));
      const values = floatsIn(data);
      const expected = golden.outputs.find((one) => one.name === name) ?? golden.outputs[place]!;
      const tensor = { dtype: 'float32', shape, data: new Uint8Array(values.buffer) } as const;
      expect(differences(tensor, expected)).toEqual([]);
      expect(listed.body.outputs[place].data).toEqual(Array.from(values));
    });
    expect(at).toBe(binary.binary.length);
  });

  it('keeps a large tensor as it came, of one input and of several in any order', async () => {
    const rows = 4000;
    const floats = Float32Array.from({ length: rows * 2 }, (_, at) => at / 3);
    const longs = BigInt64Array.from({ length: rows * 2 }, (_, at) => BigInt(at) - 2n ** 62n);
    const doubles = Float64Array.from(floats, (value) => value * 7);
    const others = echoInputs({}).map((input: any) => ({
      ...input,
      shape: [rows, 2],
      data: Array(rows * 2).fill(input.data[0]),
    }));
    const parts = { INT64: bytesOf(longs), FP64: bytesOf(doubles), FP32: bytesOf(floats) };
    const inputs = [
      ...Object.entries(parts).map(([name, bytes]) => ({
        name,
        ...binaryInput(name, bytes, [rows, 2]),
      })),
      ...others.filter(({ name }: any) => !(name in parts)),
    ];
    const outputs = Object.keys(parts).map((name) => ({
      name: `y_${name}`,
      parameters: { binary_data: true },
    }));

    const several = await inferBinary(
      'all',
      { inputs, outputs },
      Buffer.concat(Object.values(parts)),
    );
    const wide = Float32Array.from({ length: 4096 * 30 }, (_, at) => at % 11);
    const single = await inferBinary(
      'cancer',
      { inputs: [{ name: 'features', ...binaryInput('FP32', bytesOf(wide), [4096, 30]) }] },
      bytesOf(wide),
    );

    expect([several.status, several.body.error]).toEqual([200, undefined]);
    expect(several.binary.equals(Buffer.concat(Object.values(parts)))).toBe(true);
    const kept = async (answer: BinaryAnswer): Promise<Buffer> =>
      Buffer.from(
        await (
          await fetch(
            `${service.url}/api/predictions/${answer.body.parameters.prediction_id}/input`,
          )
        ).arrayBuffer(),
      );
    expect((await kept(several)).includes(bytesOf(longs))).toBe(true);
    expect((await kept(single)).subarray(-wide.byteLength).equals(bytesOf(wide))).toBe(true);
  });

  const four = bytesOf(Float32Array.of(1, 2));
  const announced = (size: unknown, more: object = {}): object => ({
    inputs: echoInputs({
      FP32: { datatype: 'FP32', shape: [1, 2], parameters: { binary_data_size: size }, ...more },
    }),
  });
  it.each<[string, object, Buffer, RegExp]>([
    ['a negative size', announced(-8), four, /binary_data_size must be/],
    ['half a byte', announced(7.5), four, /binary_data_size must be/],
    ['a size as text', announced('8'), four, /binary_data_size must be/],
    ['a size beyond all numbers', announced(1e300), four, /binary_data_size must be/],
    [
      'more than there is',
      announced(9),
      four,
      /announce 9 bytes of binary data, behind the JSON stand 8/,
    ],
    ['less than there is', announced(4), four, /announce 4 bytes/],
    ['bytes that nobody announced', { inputs: echoInputs({}) }, four, /announce 0 bytes/],
    ['data and bytes', announced(8, { data: [1, 2] }), four, /not both/],
    [
      'bytes that do not fill the shape',
      announced(4),
      four.subarray(0, 4),
      /has 4 bytes, a FP32 of \[1, 2\] has 8/,
    ],
    [
      'a shape beyond all memory',
      announced(8, { shape: [9007199254740991, 2] }),
      four,
      /has 8 bytes/,
    ],
  ])('refuses %s with 400', async (_what, json, bytes, why) => {
    const answer = await inferBinary('all', json, bytes);

    expect([answer.status, Object.keys(answer.body)]).toEqual([400, ['error']]);
    expect(answer.body.error).toMatch(why);
  });

  it.each([
    ['is longer than the body', '999999', /Length is 999999/],
    ['is negative', '-1', /whole number of bytes/],
    ['is hexadecimal', '0x10', /whole number of bytes/],
    ['ends within the JSON', '40', /not JSON/],
    ['says that there is no JSON', '0', /one tensor, the model takes 8/],
  ])('refuses a length of the JSON part that %s', async (_what, length, why) => {
    const answer = await inferBinary('all', announced(8), four, { [JSON_LENGTH]: length });

    expect([answer.status, answer.body]).toEqual([400, { error: expect.stringMatching(why) }]);
  });

  it.each<[string, string, Buffer, RegExp]>([
    ['a boolean of 2', 'BOOL', Buffer.of(2, 0), /other than 0 and 1/],
    [
      'a text that is longer than the rest',
      'BYTES',
      Buffer.of(9, 0, 0, 0, 65),
      /ends within element 0/,
    ],
    ['half a length', 'BYTES', Buffer.of(1, 0, 0, 0, 65, 7), /ends within element 1/],
    ['too few texts', 'BYTES', textBytes('a'), /has 1 elements, its shape 2/],
    ['too many texts', 'BYTES', textBytes('a', 'b', 'c'), /has 3 elements, its shape 2/],
    [
      'a text that is none',
      'BYTES',
      Buffer.concat([Buffer.of(2, 0, 0, 0, 0xc3, 0x28), textBytes('b')]),
      /not UTF-8/,
    ],
    ['a NUL', 'BYTES', textBytes('a\0', 'b'), /NUL/],
  ])('refuses %s with 400', async (_what, name, bytes, why) => {
    const answer = await inferBinary(
      'all',
      { inputs: echoInputs({ [name]: binaryInput(name, bytes) }) },
      bytes,
    );

    expect([answer.status, answer.body.error]).toEqual([400, expect.stringMatching(why)]);
  });

  it('refuses whole numbers beyond 2^63 rather than wrap them around', async () => {
    const bytes = bytesOf(BigUint64Array.of(2n ** 63n, 0n));

    const answer = await inferBinary(
      'all',
      { inputs: echoInputs({ INT64: binaryInput('UINT64', bytes) }) },
      bytes,
    );

    expect([answer.status, answer.body.error]).toEqual([
      400,
      expect.stringContaining('9223372036854775808'),
    ]);
  });

  it('reads large bytes that have to be converted elsewhere, with the same faults', async () => {
    const rows = 4096;
    const halves = new Uint16Array(rows * 30).fill(0x3c00);
    const sent = (bytes: Buffer): object => ({
      inputs: [{ name: 'features', ...binaryInput('FP16', bytes, [rows, 30]) }],
    });
    const bytes = bytesOf(halves);

    expect(bytes.length).toBeLessThan(256 * 1024);
    const inline = await inferBinary('cancer', sent(bytes), bytes);
    const texts = textBytes(...Array<string>(4096).fill('x'.repeat(100)));
    const json = { inputs: [{ name: 'BYTES', ...binaryInput('BYTES', texts, [4096, 1]) }] };
    const far = await inferBinary('text', json, texts);
    const wrong = await inferBinary(
      'text',
      json,
      Buffer.concat([texts.subarray(0, -1), Buffer.of(0)]),
    );

    expect([inline.status, far.status]).toEqual([200, 200]);
    expect(far.body.outputs[0].data).toHaveLength(4096);
    expect([wrong.status, wrong.body.error]).toEqual([
      400,
      expect.stringMatching(/element 4095.*NUL/),
    ]);
  });

  it('takes a body that is nothing but the tensor, as batch 1, and answers in bytes', async () => {
    const bytes = bytesOf(Float32Array.from(ROW));

    const raw = await inferBinary('cancer', '', bytes);
    const listed = await infer('cancer', aRow());
    const text = await inferBinary('text', '', Buffer.from('zwölf'));

    expect([raw.status, raw.body.outputs[0].parameters]).toEqual([200, { binary_data_size: 4 }]);
    expect(Array.from(floatsIn(raw.binary))).toEqual(listed.body.outputs[0].data);
    expect(text.binary).toEqual(textBytes('zwölf'));
    const short = await inferBinary('cancer', '', bytes.subarray(1));
    expect([short.status, short.body.error]).toEqual([400, expect.stringContaining('119 bytes')]);
    expect((await inferBinary('text', '', Buffer.of(0xff))).status).toBe(400);
    expect((await inferBinary('cancer', '', Buffer.alloc(0))).status).toBe(400);
  });

  it('takes the bytes of an image for a model of images, and keeps the image', async () => {
    const png = readFileSync(fixturePath('images/cat-exif6.jpg'));

    const answer = await inferBinary('digits', '', png);

    expect([answer.status, answer.body.error]).toEqual([200, undefined]);
    expect(floatsIn(answer.binary)).toHaveLength(10);
    expect(await record(answer)).toMatchObject({
      protocol: 'oip',
      input: { kind: 'image', contentType: 'image/jpeg', bytes: png.length },
    });
  });
});

describe('compression', () => {
  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ])('unpacks requests by %s', async (encoding, pack) => {
    const plain = await infer('cancer', aRow());
    const bytes = bytesOf(Float32Array.from(ROW));
    const json = JSON.stringify({
      inputs: [{ name: 'features', ...binaryInput('FP32', bytes, [1, 30]) }],
    });

    const response = await fetch(v2('models/cancer/infer'), {
      method: 'POST',
      headers: { 'Content-Encoding': encoding, [JSON_LENGTH]: String(json.length) },
      body: pack(Buffer.concat([Buffer.from(json), bytes])),
    });

    expect(response.status).toBe(200);
    expect(((await response.json()) as any).outputs).toEqual(plain.body.outputs);
  });

  it.each<[string, Buffer, number, RegExp]>([
    ['gzip', gzipSync(Buffer.alloc(64 * 1024 * 1024)), 400, /larger than/],
    ['deflate', deflateSync(Buffer.alloc(64 * 1024 * 1024)), 400, /larger than/],
    ['gzip', Buffer.from('{"inputs":[]}'), 400, /not packed by gzip/],
    ['gzip', gzipSync('{"inputs":[]}').subarray(0, -4), 400, /not packed by gzip/],
    ['gzip', Buffer.alloc(0), 400, /not packed by gzip/],
    ['br', Buffer.from('x'), 415, /gzip, deflate/],
    ['gzip, gzip', Buffer.from('x'), 415, /gzip, deflate/],
  ])('refuses what %s does not unpack to a body (case %#)', async (encoding, body, status, why) => {
    const response = await fetch(v2('models/cancer/infer'), {
      method: 'POST',
      headers: { 'Content-Encoding': encoding },
      body: Uint8Array.from(body),
    });

    const answer = (await response.json()) as any;
    expect([response.status, answer.error]).toEqual([status, expect.stringMatching(why)]);
    if (status === 415) expect(response.headers.get('Accept-Encoding')).toBe('gzip, deflate');
  });

  it('still refuses packed bodies elsewhere', async () => {
    const response = await fetch(`${service.url}/api/models/cancer/predict`, {
      method: 'POST',
      headers: { 'Content-Encoding': 'gzip', 'Content-Type': 'application/json' },
      body: gzipSync(JSON.stringify({ inputs: [ROW] })),
    });

    expect(response.status).toBe(415);
  });

  it.each([
    ['gzip', 'gzip', gunzipSync],
    ['deflate, gzip;q=0.5', 'deflate', inflateSync],
  ] as const)('packs answers for %s', async (accepted, encoding, unpack) => {
    const inputs = [{ name: 'features', datatype: 'FP32', shape: [1, 30], data: ROW }];
    const { request } = await import('node:http');
    const answer = await new Promise<{ headers: any; body: Buffer }>((resolve, reject) => {
      const sending = request(
        v2('models/cancer/infer'),
        { method: 'POST', headers: { 'Accept-Encoding': accepted } },
        (response) => {
          const pieces: Buffer[] = [];
          response.on('data', (piece: Buffer) => pieces.push(piece));
          response.on('end', () => {
            resolve({ headers: response.headers, body: Buffer.concat(pieces) });
          });
        },
      );
      sending.on('error', reject);
      sending.end(JSON.stringify({ inputs, parameters: { binary_data_output: true } }));
    });

    expect(answer.headers['content-encoding']).toBe(encoding);
    const whole = unpack(answer.body);
    const length = Number(answer.headers['inference-header-content-length']);
    expect(JSON.parse(whole.subarray(0, length).toString()).outputs[0].shape).toEqual([1, 1]);
    expect(whole.length - length).toBe(4);
  });
});

describe('classification', () => {
  it('gives the best classes with their labels, best first, in place of the values', async () => {
    const image = Array.from({ length: 64 }, (_, at) => (at % 9) / 9);
    const inputs = [
      { name: 'image', datatype: 'FP32', shape: [2, 8, 8, 1], data: [...image, ...image] },
    ];
    const asked = (classification: number, binary = false): object => ({
      inputs,
      outputs: [{ name: 'probs', parameters: { classification, binary_data: binary } }],
    });

    const values = outputOf(await infer('digits', { inputs }), 'probs').data.slice(
      0,
      10,
    ) as number[];
    const { body } = await infer('digits', asked(3));
    const all = await infer('digits', asked(99));

    const order = values.map((_, at) => at).sort((a, b) => values[b]! - values[a]!);
    expect(body.outputs).toEqual([
      { name: 'probs', datatype: 'BYTES', shape: [2, 3], data: expect.any(Array) },
    ]);
    const rows = body.outputs[0].data as string[];
    expect(rows.slice(0, 3)).toEqual(rows.slice(3));
    rows.slice(0, 3).forEach((text, rank) => {
      const [value, place, label] = text.split(':');
      expect([Number(place), label]).toEqual([order[rank], `digit ${order[rank]!}`]);
      expect(Math.fround(Number(value))).toBe(values[order[rank]!]);
    });
    expect(all.body.outputs[0].shape).toEqual([2, 10]);
    const binary = await inferBinary('digits', asked(3, true));
    expect(binary.binary).toEqual(textBytes(...rows));
  });

  it('refuses to classify texts', async () => {
    const answer = await infer('text', {
      inputs: [{ name: 'BYTES', datatype: 'BYTES', shape: [1, 1], data: ['a'] }],
      outputs: [{ name: 'y_BYTES', parameters: { classification: 1 } }],
    });

    expect([answer.status, answer.body.error]).toEqual([
      400,
      expect.stringContaining('cannot be classified'),
    ]);
  });
});

describe('the repository', () => {
  const post = async (path: string, body?: unknown) =>
    await sendJson('POST', v2(`repository/${path}`), body);

  it.each(['index', 'models-of-mine/index'])(
    'lists every version with its state, for an empty body: %s',
    async (path) => {
      const { status, body } = await post(path);

      expect(status).toBe(200);
      expect(body).toContainEqual({ name: 'digits', version: '1', state: 'READY', reason: '' });
      expect(body).toContainEqual({
        name: 'kept',
        version: '1',
        state: 'UNAVAILABLE',
        reason: expect.stringContaining('kept as files'),
      });
    },
  );

  it('lists only what is ready when asked for it', async () => {
    const { body } = await post('index', { ready: true });

    expect(body.map(({ name }: any) => name)).not.toContain('kept');
    expect(new Set(body.map(({ state }: any) => state))).toEqual(new Set(['READY']));
  });

  it('takes a model out of memory and back, and predicts either way', async () => {
    const inMemory = async (): Promise<boolean> => {
      const { body } = await sendJson('GET', `${service.url}/api/runtime`);
      return body.executors.some(({ versions }: any) =>
        versions.some(({ model }: any) => model === 'multi'),
      );
    };

    const unloaded = await post('models/multi/unload', { parameters: { unload_dependents: true } });
    const without = await inMemory();
    const loaded = await post('models/multi@live/load');

    expect([unloaded.status, unloaded.body, without]).toEqual([200, null, false]);
    expect([loaded.status, loaded.body, await inMemory()]).toEqual([200, null, true]);
    expect((await get('models/multi/ready')).status).toBe(200);
  });

  it.each<[string, unknown, number]>([
    ['models/nobody/load', undefined, 404],
    ['models/nobody/unload', undefined, 404],
    ['models/kept/load', undefined, 400],
    ['models/digits/load', { parameters: { config: '{}' } }, 501],
    ['models/digits/load', { parameters: { 'file:1/model.onnx': 'AA==' } }, 501],
    ['models/digits/load', [], 400],
    ['index', { ready: 'yes' }, 400],
    ['index', '{', 400],
  ])('refuses %s with %j by %d', async (path, body, status) => {
    const answer = await post(path, body);

    expect([answer.status, answer.body]).toEqual([status, { error: expect.any(String) }]);
  });
});

describe('statistics', () => {
  it('count rows, calls and times of each version since the start', async () => {
    const before = (await get('models/digits/stats')).body.model_stats[0];
    const inputs = [
      { name: 'image', datatype: 'FP32', shape: [3, 8, 8, 1], data: Array(192).fill(0.5) },
    ];
    await infer('digits', { inputs });
    const { status, body } = await get('models/digits/versions/1/stats');

    const [after] = body.model_stats;
    expect([status, body.model_stats.length]).toEqual([200, 1]);
    expect(after).toMatchObject({ name: 'digits', version: '1', batch_stats: [] });
    expect(after.inference_count - before.inference_count).toBe(3);
    expect(after.execution_count).toBeGreaterThan(before.execution_count);
    expect(after.last_inference).toBeGreaterThan(before.last_inference);
    const { success, queue, compute_infer, cache_hit } = after.inference_stats;
    expect(success.count).toBe(before.inference_stats.success.count + 1);
    expect([queue.count, compute_infer.count]).toEqual([success.count, success.count]);
    expect(success.ns).toBeGreaterThanOrEqual(compute_infer.ns);
    expect(cache_hit).toEqual({ count: 0, ns: 0 });
    expect(after.memory_usage[0].byte_size).toBeGreaterThan(0);
  });

  it('are given for all models, for one, and for nobody unknown', async () => {
    const all = await get('models/stats');
    const one = await get('models/multi/stats');

    expect(all.body.model_stats.map(({ name }: any) => name)).toEqual(
      expect.arrayContaining(['all', 'cancer', 'digits', 'multi', 'text']),
    );
    expect(one.body.model_stats.map(({ name }: any) => name)).toEqual(['multi']);
    expect((await get('models/nobody/stats')).status).toBe(404);
    expect((await get('models/digits@nowhere/stats')).status).toBe(404);
  });
});
