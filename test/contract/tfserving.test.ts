import { bootService, type BootedService } from '../support/boot';
import { type ForgedModel, forgeOnnx, ONNX } from '../support/forged-onnx';
import { goldenInputs, isClose, readGolden } from '../support/golden';
import { fixtureFiles, sendJson, upload } from '../support/uploads';
import { type NamedTensors } from '../../src/common/tensor';
import { valuesOf } from '../../src/common/tensor-values';

const DIGITS = 'tfjs/digits-cnn-v1.k3h5.fixed';
const MULTI = 'tfjs/digits-multi.k3h5.fixed';

/** Types that JSON carries, each as an input `x` and the output `y` that equals it. */
const TYPES = {
  float: ONNX.float,
  double: ONNX.double,
  int32: ONNX.int32,
  int64: ONNX.int64,
  uint8: ONNX.uint8,
  bool: ONNX.bool,
  string: ONNX.string,
  half: ONNX.float16,
} as const;

let service: BootedService;

beforeAll(async () => {
  service = await bootService({ GRIDSTOW_ENGINE: 'auto', GRIDSTOW_MAX_BODY_MB: '2' });
  const labels = Array.from({ length: 10 }, (_, digit) => `digit ${digit}`);
  await publish('digits', fixtureFiles(DIGITS), { labels });
  await publish('multi', fixtureFiles(MULTI));
  for (const [name, type] of Object.entries(TYPES)) {
    await publish(name, { 'm.onnx': identity([['x', 'y', type]]) });
  }
  await publish('pair', {
    'm.onnx': identity([
      ['a', 'a_out', ONNX.float],
      ['b', 'b_bytes', ONNX.string],
    ]),
  });
  await publish(
    'scores',
    { 'm.onnx': identity([['x', 'y', ONNX.float]]) },
    { labels: ['no', 'yes'] },
  );
  await publish('value', { 'm.onnx': identity([['x', 'y', ONNX.float, ['n', 1]]]) });
  await publish('uneven', { 'm.onnx': uneven() });
  await publish('kept', { 'notes.txt': 'nothing that runs' }, { format: 'opaque' });
});

afterAll(async () => {
  await service.close();
});

async function publish(
  model: string,
  files: Readonly<Record<string, Uint8Array | string>>,
  metadata: object = {},
): Promise<void> {
  const { status, body } = await upload(service.url, model, files, { metadata });
  if (status !== 201) throw new TypeError(JSON.stringify(body));
}

type Port = readonly [input: string, output: string, type: number, dims?: (string | number)[]];

function identity(ports: readonly Port[]): Uint8Array {
  const values = (side: 0 | 1): ForgedModel['inputs'] =>
    ports.map((port) => ({ name: port[side], type: port[2], dims: port[3] ?? ['n', 2] }));
  return forgeOnnx({
    nodes: ports.map(([input, output]) => ({
      op: 'Identity',
      inputs: [input],
      outputs: [output],
    })),
    inputs: values(0)!,
    outputs: values(1)!,
  });
}

/** Its second output has two elements, whatever the number of rows. */
function uneven(): Uint8Array {
  return forgeOnnx({
    nodes: [
      { op: 'Identity', inputs: ['x'], outputs: ['rows'] },
      { op: 'Shape', inputs: ['x'], outputs: ['shape'] },
    ],
    inputs: [{ name: 'x', dims: ['n', 2] }],
    outputs: [
      { name: 'rows', dims: ['n', 2] },
      { name: 'shape', type: ONNX.int64, dims: [2] },
    ],
  });
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

async function send(
  method: string,
  path: string,
  body?: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${service.url}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

const predict = async (model: string, body: string): Promise<Answer> =>
  await send('POST', `/v1/models/${model}:predict`, body);

function errorOf({ text }: Answer): string {
  const { error, ...others } = JSON.parse(text) as { error: string };
  expect(others).toEqual({});
  return error;
}

/** `[status, body]`, so that what differs shows both. */
const outcome = ({ status, text }: Answer): [number, string] => [status, text];

function nestTensors(tensors: NamedTensors): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => {
      let values: unknown[] = Array.from(valuesOf(tensor) as Iterable<unknown>);
      for (const size of tensor.shape.slice(1).toReversed()) {
        values = Array.from({ length: values.length / size }, (_, at) =>
          values.slice(at * size, (at + 1) * size),
        );
      }
      return [name, values];
    }),
  );
}

describe('predict', () => {
  it.each([
    [
      'plain rows of the only input',
      '{"instances":[[1,2],[3,4.5]]}',
      '{"predictions":[[1.0,2.0],[3.0,4.5]]}',
    ],
    [
      'rows as objects with the one key',
      '{"instances":[{"x":[1,2]}]}',
      '{"predictions":[[1.0,2.0]]}',
    ],
    ['the only input as a whole', '{"inputs":[[1,2],[3,4]]}', '{"outputs":[[1.0,2.0],[3.0,4.0]]}'],
    [
      'inputs by name, others passed over',
      '{"inputs":{"x":[[1,2]],"other":"x"}}',
      '{"outputs":[[1.0,2.0]]}',
    ],
    [
      'the default signature by name',
      '{"signature_name":"serving_default","instances":[[1,2]]}',
      '{"predictions":[[1.0,2.0]]}',
    ],
    [
      'no name for the signature',
      '{"signature_name":"","instances":[[1,2]]}',
      '{"predictions":[[1.0,2.0]]}',
    ],
    [
      'what follows the first value',
      '{"instances":[[1,2]]} and more',
      '{"predictions":[[1.0,2.0]]}',
    ],
    ['spaces before it', ' \n\t{"instances" : [ [ 1 , 2 ] ] }', '{"predictions":[[1.0,2.0]]}'],
    [
      'bare NaN and infinities',
      '{"instances":[[NaN,Infinity],[-Infinity,0]]}',
      '{"predictions":[[NaN,Infinity],[-Infinity,0.0]]}',
    ],
    [
      'float32 in as few digits as it takes',
      '{"instances":[[0.1,16777216],[1e-7,3.4028235e38]]}',
      '{"predictions":[[0.1,16777216.0],[1e-7,3.4028235e+38]]}',
    ],
    [
      'large and negative whole floats',
      '{"instances":[[1e20,-0.0],[-3,1e21]]}',
      '{"predictions":[[100000000000000000000.0,-0.0],[-3.0,1e+21]]}',
    ],
  ])('takes and gives %s', async (_what, body, answer) => {
    expect(outcome(await predict('float', body))).toEqual([200, answer]);
  });

  it.each([
    [
      'double',
      '{"instances":[[0.1,1e300],[5e-324,NaN]]}',
      '{"predictions":[[0.1,1e+300],[5e-324,NaN]]}',
    ],
    ['double', '{"instances":[[2,3]]}', '{"predictions":[[2.0,3.0]]}'],
    ['int32', '{"inputs":[[2147483647,-2147483648]]}', '{"outputs":[[2147483647,-2147483648]]}'],
    [
      'int64',
      '{"instances":[[9007199254740993,-9223372036854775808],[1,9223372036854775807]]}',
      '{"predictions":[[9007199254740993,-9223372036854775808],[1,9223372036854775807]]}',
    ],
    ['uint8', '{"instances":[[0,255]]}', '{"predictions":[[0,255]]}'],
    ['bool', '{"instances":[[true,false]]}', '{"predictions":[[true,false]]}'],
    [
      'string',
      '{"instances":[["zwölf","a\\n\\"b\\""]]}',
      '{"predictions":[["zwölf","a\\n\\"b\\""]]}',
    ],
    ['string', '{"inputs":[[{"b64":"enfDtmxm"},{"b64":"YQ"}]]}', '{"outputs":[["zwölf","a"]]}'],
  ])('carries %s exactly: %s', async (model, body, answer) => {
    expect(outcome(await predict(model, body))).toEqual([200, answer]);
  });

  it('gives several outputs by name, bytes in base64', async () => {
    const rows = '{"instances":[{"a":[1,2],"b":["x","y"]},{"b":["ä",{"b64":"eg=="}],"a":[3,4]}]}';
    const columns = '{"inputs":{"a":[[1,2]],"b":[["x","y"]]}}';

    expect(outcome(await predict('pair', rows))).toEqual([
      200,
      '{"predictions":[{"a_out":[1.0,2.0],"b_bytes":[{"b64":"eA=="},{"b64":"eQ=="}]},{"a_out":[3.0,4.0],"b_bytes":[{"b64":"w6Q="},{"b64":"eg=="}]}]}',
    ]);
    expect(outcome(await predict('pair', columns))).toEqual([
      200,
      '{"outputs":{"a_out":[[1.0,2.0]],"b_bytes":[[{"b64":"eA=="},{"b64":"eQ=="}]]}}',
    ]);
  });

  it('takes columns of different lengths, and says in rows that they do not fit', async () => {
    const body = '{"inputs":{"a":[[1,2],[3,4]],"b":[["x","y"]]}}';

    expect(outcome(await predict('pair', body))).toEqual([
      200,
      '{"outputs":{"a_out":[[1.0,2.0],[3.0,4.0]],"b_bytes":[[{"b64":"eA=="},{"b64":"eQ=="}]]}}',
    ]);
    const whole = await predict('uneven', '{"inputs":[[1,2],[3,4],[5,6]]}');
    expect(outcome(whole)).toEqual([
      200,
      '{"outputs":{"rows":[[1.0,2.0],[3.0,4.0],[5.0,6.0]],"shape":[3,2]}}',
    ]);
    const byRow = await predict('uneven', '{"instances":[[1,2],[3,4],[5,6]]}');
    expect(byRow.status).toBe(400);
    expect(errorOf(byRow)).toMatch(
      /^Tensor name: shape has inconsistent batch size: 2 expecting: 3/,
    );
  });

  it.each([DIGITS, MULTI])('computes what the reference does: %s', async (fixture) => {
    const golden = readGolden(fixture);
    const columns = nestTensors(goldenInputs(golden));
    const names = Object.keys(columns);
    const model = fixture === DIGITS ? 'digits' : 'multi';
    const row = Object.fromEntries(names.map((name) => [name, (columns[name] as unknown[])[0]]));

    const whole = await predict(model, JSON.stringify({ inputs: columns }));
    const byRow = await predict(model, JSON.stringify({ instances: [row] }));

    expect([whole.status, byRow.status]).toEqual([200, 200]);
    const { outputs } = JSON.parse(whole.text);
    const { predictions } = JSON.parse(byRow.text);
    for (const { name, first16 } of golden.outputs) {
      const plain = golden.outputs.length === 1;
      const values: number[] = (plain ? outputs : outputs[name]).flat();
      expect(plain ? predictions[0] : predictions[0][name]).toEqual(values);
      first16.forEach((value, place) => {
        expect(isClose(values[place]!, value)).toBe(true);
      });
    }
  });

  it.each([
    ['an empty document', '', /^JSON Parse error: The document is empty$/],
    ['nothing but spaces', '  ', /^JSON Parse error: The document is empty$/],
    ['no JSON', '{"instances":[[1,]]}', /^JSON Parse error: .* at offset: 17$/],
    ['half a document', '{"instances":[[1', /^JSON Parse error: /],
    ['a number with a leading zero', '{"instances":[[01,2]]}', /^JSON Parse error: /],
    ['a number without end', '{"instances":[[1e999,2]]}', /Number too big to be stored in double/],
    ['a list', '[1,2]', /^JSON Value: \[1,2\] Is not object$/],
    ['neither key', '{}', /^Missing 'inputs' or 'instances' key$/],
    ['both keys', '{"inputs":[],"instances":[]}', /only one of 'inputs' or 'instances'/],
    [
      'a signature that is no text',
      '{"signature_name":5,"instances":[[1,2]]}',
      /'signature_name' key must be a string value/,
    ],
    [
      'an unknown signature',
      '{"signature_name":"other","instances":[[1,2]]}',
      /^Serving signature name: "other" not found in signature def$/,
    ],
    ['no rows', '{"instances":[]}', /^No values in 'instances' array$/],
    ['rows that are no list', '{"instances":5}', /Expecting 'instances' to be a list/],
    [
      'a row of another length',
      '{"instances":[[1,2],[1,2,3]]}',
      /instances\[1\] is a list of 3, a list of 2 was expected/,
    ],
    [
      'a row nested deeper',
      '{"instances":[[[1],2]]}',
      /instances\[0\]\[0\] JSON Value: \[1\] Type: Array is not of expected type: float/,
    ],
    [
      'a text for a number',
      '{"instances":[["1",2]]}',
      /JSON Value: "1" Type: String is not of expected type: float/,
    ],
    [
      'the native spelling of NaN',
      '{"instances":[["NaN",2]]}',
      /Type: String is not of expected type: float/,
    ],
    [
      'true for a number',
      '{"inputs":[[true,2]]}',
      /inputs\[0\]\[0\] JSON Value: true Type: True is not of expected type: float/,
    ],
    ['null for a number', '{"inputs":[[null,2]]}', /JSON Value: null Type: Null/],
    [
      'more than float32 holds',
      '{"instances":[[1e39,2]]}',
      /Cannot convert JSON Value: 1e\+39 to float without loss of precision/,
    ],
    [
      'another key in a row',
      '{"instances":[{"z":[1,2]}]}',
      /Failed to process element: 0 of 'instances' list.* keys must be equal to: x$/,
    ],
    ['a key too many in a row', '{"instances":[{"x":[1,2],"z":1}]}', /keys must be equal to: x$/],
    [
      'an object among lists',
      '{"instances":[[1,2],{"x":[1,2]}]}',
      /Expecting value\/list but got object at item 1/,
    ],
    [
      'a list among objects',
      '{"instances":[{"x":[1,2]},[1,2]]}',
      /Expecting object but got \[1,2\] at item 1/,
    ],
    [
      'a missing input',
      '{"inputs":{"z":[[1,2]]}}',
      /^Missing named input: x in 'inputs' object\.$/,
    ],
    [
      'bytes for numbers',
      '{"instances":[[{"b64":"AA=="},2]]}',
      /Type: Object is not of expected type: float/,
    ],
    ['a key twice', '{"instances":[[1,2]],"instances":[[3,4]]}', /stands twice in one object/],
    ['__proto__', '{"__proto__":1,"instances":[[1,2]]}', /__proto__ is not accepted/],
    ['endless nesting', `{"instances":${'['.repeat(100_000)}`, /nested deeper than 32 levels/],
    [
      'more rows than are taken',
      `{"instances":[${'[1,2],'.repeat(4096)}[1,2]]}`,
      /has 4097 elements, at most 4096/,
    ],
  ])('refuses %s with 400', async (_what, body, error) => {
    const refused = await predict('float', body);

    expect([refused.status, errorOf(refused)]).toEqual([400, expect.stringMatching(error)]);
    expect(refused.headers.get('Content-Type')).toMatch(/^application\/json/);
  });

  it.each([
    ['int32', '1.0', /JSON Value: 1.0 Type: Number is not of expected type: int32/],
    ['int32', '1e0', /is not of expected type: int32/],
    ['int32', '1.5', /is not of expected type: int32/],
    ['int32', '2147483648', /JSON Value: 2147483648 .* int32/],
    ['int32', '"1"', /Type: String is not of expected type: int32/],
    ['int64', '9223372036854775808', /JSON Value: 9223372036854775808 .* int64/],
    ['int64', '1.0', /is not of expected type: int64/],
    ['int64', '123456789012345678901234567890', /is not of expected type: int64/],
    ['int64', '"5"', /is not of expected type: int64/],
    ['uint8', '256', /is not of expected type: uint8/],
    ['uint8', '-1', /is not of expected type: uint8/],
    ['bool', '1', /JSON Value: 1 Type: Number is not of expected type: bool/],
    ['string', '5', /JSON Value: 5 Type: Number is not of expected type: string/],
    ['string', '{"b64":"*"}', /not formatted correctly for base64 data/],
    ['string', '{"b64":"_w=="}', /not formatted correctly for base64 data/],
    ['string', '{"b64":"/w=="}', /not formatted correctly for base64 data/],
    ['string', '{"b64":5}', /Type: Object is not of expected type: string/],
    ['string', '"\\ud800"', /half of a surrogate pair/],
  ])('refuses for %s the value %s', async (model, value, error) => {
    for (const body of [
      `{"instances":[[${value},${value}]]}`,
      `{"inputs":[[${value},${value}]]}`,
    ]) {
      const refused = await predict(model, body);
      expect([refused.status, errorOf(refused)]).toEqual([400, expect.stringMatching(error)]);
    }
  });

  it('cuts a long offending value to 256 bytes', async () => {
    const refused = await predict('float', `{"instances":[["${'ä'.repeat(5000)}",1]]}`);

    const shown = /JSON Value: (.*) Type: String/.exec(errorOf(refused))?.[1];
    expect(Buffer.byteLength(shown!)).toBe(255);
  });

  it('answers 501 for half precision in columns, 400 in rows', async () => {
    const whole = await predict('half', '{"inputs":[[1,2]]}');
    const byRow = await predict('half', '{"instances":[[1,2]]}');

    expect([whole.status, byRow.status]).toEqual([501, 400]);
    expect(errorOf(whole)).toMatch(/to type: half/);
  });

  it.each([
    ['none', {}],
    ['the one of forms', { 'Content-Type': 'application/x-www-form-urlencoded' }],
    ['an image', { 'Content-Type': 'image/png' }],
    ['raw bytes', { 'Content-Type': 'application/octet-stream' }],
  ])('reads the body under a content type that is %s', async (_what, headers) => {
    const body = new Uint8Array(Buffer.from('{"instances":[[1,2]]}'));

    const answered = await send('POST', '/v1/models/float:predict', body, headers);

    expect(outcome(answered)).toEqual([200, '{"predictions":[[1.0,2.0]]}']);
    expect(answered.headers.get('Content-Type')).toBe('application/json');
  });

  it('says the same of a body that is read on a thread', async () => {
    const spaces = ' '.repeat(300_000);
    const pairs: [string, string][] = [
      ['float', '{"instances":[[0.1,NaN]]}'],
      ['int64', '{"instances":[[9007199254740993,1]]}'],
      ['pair', '{"inputs":{"b":[["x","y"]],"a":[[1,2]]}}'],
      ['int32', '{"instances":[[1.0,2]]}'],
      ['half', '{"inputs":[[1,2]]}'],
      ['float', '{"instances":[[1,2]],"instances":[[1,2]]}'],
    ];
    for (const [model, body] of pairs) {
      const small = await predict(model, body);
      const large = await predict(model, body + spaces);
      expect(outcome(large)).toEqual(outcome(small));
    }
  });

  it('refuses a body over the limit before it is read', async () => {
    const refused = await predict('float', ' '.repeat(3 * 1024 * 1024));

    expect(refused.status).toBe(413);
    expect(errorOf(refused)).toMatch(/larger than/);
  });
});

describe('classify and regress', () => {
  const classify = async (model: string, body: string): Promise<Answer> =>
    await send('POST', `/v1/models/${model}:classify`, body);
  const regress = async (model: string, body: string): Promise<Answer> =>
    await send('POST', `/v1/models/${model}:regress`, body);

  it('gives a label and a score for each class of each example', async () => {
    const body = '{"examples":[{"x":[0.25,0.75]},{"x":[1,0],"other":5}]}';

    expect(outcome(await classify('scores', body))).toEqual([
      200,
      '{"results":[[["no",0.25],["yes",0.75]],[["no",1.0],["yes",0.0]]]}',
    ]);
  });

  it('gives empty labels where the version has none', async () => {
    expect(outcome(await classify('float', '{"examples":[{"x":[0.5,2]}]}'))).toEqual([
      200,
      '{"results":[[["",0.5],["",2.0]]]}',
    ]);
  });

  it('gives one number for each example', async () => {
    expect(outcome(await regress('value', '{"examples":[{"x":2},{"x":[0.1]}]}'))).toEqual([
      200,
      '{"results":[2.0,0.1]}',
    ]);
  });

  it('takes from the context what an example does not say', async () => {
    const body = '{"context":{"x":[1,2]},"examples":[{},{"x":[3,4]}]}';

    expect(outcome(await classify('scores', body))).toEqual([
      200,
      '{"results":[[["no",1.0],["yes",2.0]],[["no",3.0],["yes",4.0]]]}',
    ]);
  });

  it('lays the values of an image out as the model takes them', async () => {
    const golden = readGolden(DIGITS);
    const [tensor] = Object.values(goldenInputs(golden));
    const [input] = Object.keys(nestTensors(goldenInputs(golden)));
    const example = { [input!]: Array.from(valuesOf(tensor!) as Iterable<number>) };

    const answered = await classify('digits', JSON.stringify({ examples: [example] }));

    expect(answered.status).toBe(200);
    const [classes] = JSON.parse(answered.text).results as [[string, number][]];
    golden.outputs[0]!.first16.forEach((value, place) => {
      expect(classes[place]![0]).toBe(`digit ${place}`);
      expect(isClose(classes[place]![1], value)).toBe(true);
    });
  });

  it.each([
    [
      'no examples',
      '{}',
      /^When method is classify, key 'examples' is expected and was not found$/,
    ],
    ['an empty list', '{"examples":[]}', /^No values in 'examples' array$/],
    ['no list', '{"examples":{"x":[1,2]}}', /Expecting 'examples' to be a list/],
    [
      'an example that is no object',
      '{"examples":[[1,2]]}',
      /Example must be JSON object but got \[1,2\]/,
    ],
    [
      'a context that is no object',
      '{"context":5,"examples":[{}]}',
      /Example must be JSON object but got 5/,
    ],
    ['a missing feature', '{"examples":[{"x":[1,2]},{}]}', /examples\[1\]\.x is missing/],
    [
      'too few values',
      '{"examples":[{"x":[1]}]}',
      /examples\[0\]\.x is a list of 1, a list of 2 was expected/,
    ],
    [
      'a nested list',
      '{"examples":[{"x":[[1],2]}]}',
      /examples\[0\]\.x\[0\] JSON Value: \[1\] Type: Array/,
    ],
    [
      'an unknown signature',
      '{"signature_name":"s","examples":[{"x":[1,2]}]}',
      /not found in signature def/,
    ],
  ])('refuse %s with 400', async (_what, body, error) => {
    const refused = await classify('scores', body);

    expect([refused.status, errorOf(refused)]).toEqual([400, expect.stringMatching(error)]);
  });

  it('refuse a model whose output is no answer to them', async () => {
    const numbers = await regress('scores', '{"examples":[{"x":[1,2]}]}');
    const classes = await classify('string', '{"examples":[{"x":["a",{"b64":"Yg=="}]}]}');

    expect([numbers.status, errorOf(numbers)]).toEqual([
      400,
      expect.stringMatching(/^Cannot regress: .* \[1, 2\]/),
    ]);
    expect([classes.status, errorOf(classes)]).toEqual([
      400,
      expect.stringMatching(/^Cannot classify: /),
    ]);
  });
});

describe('addresses', () => {
  const body = '{"instances":[[1,2]]}';
  const good = '{"predictions":[[1.0,2.0]]}';

  it.each([
    '/v1/models/float:predict',
    '/v1/models/float/versions/1:predict',
    '/v1/models/float/versions/001:predict',
    '/v1/models/float/labels/live:predict',
    '/v1/models/float:PREDICT',
    '/V1/Models/float/Labels/live:Predict',
    '/v1/models/fl%6Fat:predict',
    '/v1/models/float/labels/l%69ve:predict',
    '/v1/models/float:predict?trace=1',
  ])('%s is understood', async (path) => {
    expect(outcome(await send('POST', path, body))).toEqual([200, good]);
  });

  it.each([
    ['POST', '/v1/models/none:predict', 404, 'Servable not found for request: Latest(none)'],
    ['POST', '/v1/models/a%2Fb:predict', 404, 'Servable not found for request: Latest(a/b)'],
    [
      'POST',
      '/v1/models/float/versions/7:predict',
      404,
      'Servable not found for request: Specific(float, 7)',
    ],
    [
      'POST',
      '/v1/models/none/versions/7:classify',
      404,
      'Servable not found for request: Specific(none, 7)',
    ],
    [
      'POST',
      '/v1/models/float/versions/0:predict',
      404,
      'Servable not found for request: Specific(float, 0)',
    ],
    [
      'POST',
      '/v1/models/float/versions/9223372036854775807:predict',
      404,
      'Servable not found for request: Specific(float, 9223372036854775807)',
    ],
    [
      'POST',
      '/v1/models/float/versions/9223372036854775808:predict',
      400,
      'Failed to convert version: 9223372036854775808 to numeric.',
    ],
    [
      'POST',
      '/v1/models/float/labels/canary:predict',
      400,
      'Unrecognized servable version label: canary',
    ],
    ['POST', '/v1/models/float/labels/1:predict', 400, 'Unrecognized servable version label: 1'],
    ['POST', '/v1/models/float:explain', 501, 'Model float has no explainer'],
    [
      'POST',
      '/v1/models/float/versions/x:predict',
      400,
      'Malformed request: POST /v1/models/float/versions/x:predict',
    ],
    [
      'POST',
      '/v1/models/float/versions/1/labels/live:predict',
      400,
      'Malformed request: POST /v1/models/float/versions/1/labels/live:predict',
    ],
    ['POST', '/v1/models/float:fly', 400, 'Malformed request: POST /v1/models/float:fly'],
    ['POST', '/v1/models/float', 400, 'Malformed request: POST /v1/models/float'],
    ['POST', '/v1/models/%zz:predict', 400, 'Malformed request: POST /v1/models/%zz:predict'],
    ['GET', '/v1/models/float:predict', 400, 'Malformed request: GET /v1/models/float:predict'],
    ['GET', '/v1/', 400, 'Malformed request: GET /v1/'],
    [
      'GET',
      '/v1/models/float/metadata/x',
      400,
      'Malformed request: GET /v1/models/float/metadata/x',
    ],
    ['GET', '/v1/other?q=1', 400, 'Malformed request: GET /v1/other'],
    ['DELETE', '/v1/models/float', 400, 'Malformed request: DELETE /v1/models/float'],
    [
      'OPTIONS',
      '/v1/models/float:predict',
      400,
      'Malformed request: OPTIONS /v1/models/float:predict',
    ],
    ['GET', '/v1/models/versions/3', 400, 'Missing model name in request.'],
    ['GET', '/v1/models/none', 404, 'Could not find any versions of model none'],
    ['GET', '/v1/models/float/versions/7', 404, 'Could not find version 7 of model float'],
    ['GET', '/v1/models/float/labels/canary', 400, 'Unrecognized servable version label: canary'],
    ['GET', '/v1/models/none/metadata', 404, 'Servable not found for request: Latest(none)'],
  ])('%s %s is refused with %i', async (method, path, status, error) => {
    const refused = await send(method, path, method === 'POST' ? body : undefined);

    expect([refused.status, errorOf(refused)]).toEqual([status, error]);
    expect(refused.headers.get('Access-Control-Allow-Origin')).toBeNull();
  });

  it('leaves what is not under /v1/ to the rest of the service', async () => {
    expect(JSON.parse((await send('GET', '/v1')).text)).toMatchObject({ code: 'route_not_found' });
  });

  it('refuses what is only kept with what to do instead', async () => {
    const refused = await predict('kept', body);

    expect([refused.status, errorOf(refused)]).toEqual([
      400,
      expect.stringMatching(/kept as files/),
    ]);
  });
});

describe('status and metadata', () => {
  const get = async (path: string): Promise<[number, unknown]> => {
    const { status, text } = await send('GET', path);
    return [status, JSON.parse(text)];
  };
  const available = {
    version: '1',
    state: 'AVAILABLE',
    status: { error_code: 'OK', error_message: '' },
  };

  it.each(['/v1/models/float', '/v1/models/float/versions/1', '/v1/models/float/labels/live'])(
    'says at %s that a version is available, and to KServe that the model is ready',
    async (path) => {
      expect(await get(path)).toEqual([
        200,
        { model_version_status: [available], name: 'float', ready: true },
      ]);
    },
  );

  it('says why a version is not', async () => {
    expect(await get('/v1/models/kept')).toEqual([
      200,
      {
        model_version_status: [
          {
            version: '1',
            state: 'END',
            status: {
              error_code: 'FAILED_PRECONDITION',
              error_message: expect.stringMatching(/cannot be run here/),
            },
          },
        ],
        name: 'kept',
        ready: false,
      },
    ]);
  });

  it('lists the models for KServe', async () => {
    const [status, body] = await get('/v1/models');

    expect(status).toBe(200);
    expect((body as { models: string[] }).models).toEqual(
      [
        ...Object.keys(TYPES),
        'digits',
        'kept',
        'multi',
        'pair',
        'scores',
        'uneven',
        'value',
      ].sort(),
    );
  });

  it.each([
    '/v1/models/pair/metadata',
    '/v1/models/pair/versions/1/metadata',
    '/v1/models/pair/labels/live/metadata',
  ])('tells at %s what a version takes and gives', async (path) => {
    const info = (name: string, dtype: string): unknown => ({
      dtype,
      tensor_shape: {
        dim: [
          { size: '-1', name: '' },
          { size: '2', name: '' },
        ],
        unknown_rank: false,
      },
      name: `${name}:0`,
    });

    expect(await get(path)).toEqual([
      200,
      {
        model_spec: { name: 'pair', signature_name: '', version: '1' },
        metadata: {
          signature_def: {
            signature_def: {
              serving_default: {
                inputs: { a: info('a', 'DT_FLOAT'), b: info('b', 'DT_STRING') },
                outputs: {
                  a_out: info('a_out', 'DT_FLOAT'),
                  b_bytes: info('b_bytes', 'DT_STRING'),
                },
                method_name: 'tensorflow/serving/predict',
                defaults: {},
              },
            },
          },
        },
      },
    ]);
  });
});

describe('around predictions', () => {
  it('records them as predictions of this protocol, failed ones too', async () => {
    const answered = await predict('pair', '{"instances":[{"a":[0.5,2],"b":["x","y"]}]}');
    const failed = await predict('uneven', '{"instances":[[1,2],[3,4],[5,6]]}');

    const id = answered.headers.get('Gridstow-Prediction-Id')!;
    expect(answered.headers.get('Gridstow-Version')).toBe('1');
    const { body: record } = await sendJson('GET', `${service.url}/api/predictions/${id}`);
    expect(record).toMatchObject({
      model: 'pair',
      version: 1,
      alias: 'live',
      protocol: 'tfserving',
      status: 'ok',
      rows: 1,
      input: { tensors: { a: { dtype: 'float32', shape: [1, 2], values: [0.5, 2] } } },
      outputs: { b_bytes: { dtype: 'string', shape: [1, 2], values: ['x', 'y'] } },
    });
    expect(failed.status).toBe(400);
    const { body: list } = await sendJson(
      'GET',
      `${service.url}/api/predictions?model=uneven&status=failed`,
    );
    expect(list.items[0]).toMatchObject({ protocol: 'tfserving', error: { code: 'output_form' } });
  });

  it('serves what was promoted, and not the largest number', async () => {
    const older = identity([['x', 'y', ONNX.float]]);
    const newer = forgeOnnx({
      nodes: [{ op: 'Neg', inputs: ['x'], outputs: ['y'] }],
      inputs: [{ name: 'x', dims: ['n', 2] }],
      outputs: [{ name: 'y', dims: ['n', 2] }],
    });
    await publish('moving', { 'm.onnx': older });
    await publish('moving', { 'm.onnx': newer });
    const body = '{"instances":[[1,2]]}';

    const before = await predict('moving', body);
    const byNumber = await predict('moving/versions/2', body);
    await sendJson('PUT', `${service.url}/api/models/moving/aliases/live`, { version: 2 });
    const after = await predict('moving', body);

    expect(before.text).toBe('{"predictions":[[1.0,2.0]]}');
    expect(byNumber.text).toBe('{"predictions":[[-1.0,-2.0]]}');
    expect(after.text).toBe('{"predictions":[[-1.0,-2.0]]}');
    const { text } = await send('GET', '/v1/models/moving');
    expect(JSON.parse(text).model_version_status.map((one: any) => one.version)).toEqual([
      '2',
      '1',
    ]);
  });

  it('shares calls of the engine with other requests', async () => {
    const answers = await Promise.all(
      Array.from(
        { length: 40 },
        async (_, at) => await predict('float', `{"instances":[[${at},0.5]]}`),
      ),
    );

    answers.forEach(({ text }, at) => {
      expect(text).toBe(`{"predictions":[[${at}.0,0.5]]}`);
    });
  });

  it('describes its routes', async () => {
    const { paths } = JSON.parse((await send('GET', '/api/openapi.json')).text);

    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining([
        '/v1/models',
        '/v1/models/{model}/metadata',
        '/v1/models/{model}/labels/{label}:predict',
        '/v1/models/{model}/versions/{version}:classify',
      ]),
    );
  });

  it('counts them by route and under the names of TensorFlow Serving', async () => {
    const { text } = await send('GET', '/monitoring/prometheus/metrics');

    expect(text).toMatch(
      /gridstow_predictions_total\{model="float",version="1",protocol="tfserving"\}/,
    );
    expect(text).toMatch(/:tensorflow:serving:request_count\{model_name="float",status="OK"\}/);
    expect(text).toMatch(/route="\/v1\/models\/:model:predict",status="200"/);
    expect(text).not.toMatch(/route="[^"]*float/);
  });
});
