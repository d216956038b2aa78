import { type OpenAPIObject } from '@nestjs/swagger';

import { type DocumentedRoutes } from '../../http/openapi';

type Paths = OpenAPIObject['paths'];
type Operation = NonNullable<Paths[string]['post']>;
type Parameter = NonNullable<Operation['parameters']>[number];

const TAG = {
  name: 'TensorFlow Serving',
  description:
    'Its REST API, and version 1 of KServe. Errors are `{ error }`. Without a version an address means what `live` points at',
};

const TEXT = { type: 'string' } as const;
const ERROR = { type: 'object', properties: { error: TEXT } } as const;

const FAILURES: Readonly<Record<number, string>> = {
  400: 'Anything wrong with the request, an unknown label included',
  404: 'No such model or version',
  413: 'Larger than the limit',
  501: 'Not done here, such as half precision in columns',
  503: 'Not now; Retry-After says when',
  504: 'Not within the deadline',
};

const PREDICT_BODY = {
  type: 'object',
  description: 'Exactly one of instances and inputs. NaN and infinities may stand bare',
  properties: {
    signature_name: { ...TEXT, default: 'serving_default' },
    instances: { type: 'array', items: {}, description: 'One element for each row' },
    inputs: { description: 'The only input as a whole, or an object with all of them' },
  },
} as const;

const EXAMPLES_BODY = {
  type: 'object',
  required: ['examples'],
  properties: {
    signature_name: { ...TEXT, default: 'serving_default' },
    context: { type: 'object', description: 'Features that all examples share' },
    examples: { type: 'array', items: { type: 'object' } },
  },
} as const;

const RESULTS = { type: 'object', properties: { results: { type: 'array', items: {} } } } as const;

const STATUS_ANSWER = {
  type: 'object',
  properties: {
    model_version_status: { type: 'array', items: { type: 'object' } },
    name: TEXT,
    ready: {
      type: 'boolean',
      description: 'For KServe: whether live points at a version that serves',
    },
  },
} as const;

/** The ways to name a version, each with its parameters. */
const SPECS: readonly (readonly [path: string, parameters: readonly string[]])[] = [
  ['/v1/models/{model}', ['model']],
  ['/v1/models/{model}/versions/{version}', ['model', 'version']],
  ['/v1/models/{model}/labels/{label}', ['model', 'label']],
];

const PATHS: Paths = {
  '/v1/models': {
    get: operation('List the models, as KServe does', [], {
      type: 'object',
      properties: { models: { type: 'array', items: TEXT } },
    }),
  },
  ...Object.fromEntries(
    SPECS.flatMap(([path, names]): [string, Paths[string]][] => [
      [path, { get: operation('Say which versions are available', names, STATUS_ANSWER) }],
      [
        `${path}/metadata`,
        { get: operation('Tell what a version takes and gives', names, { type: 'object' }) },
      ],
      [
        `${path}:predict`,
        {
          post: operation(
            'Predict: predictions for instances, outputs for inputs',
            names,
            { type: 'object', properties: { predictions: {}, outputs: {} } },
            PREDICT_BODY,
          ),
        },
      ],
      [
        `${path}:classify`,
        {
          post: operation(
            'Classify examples: for each a list of label and score',
            names,
            RESULTS,
            EXAMPLES_BODY,
          ),
        },
      ],
      [
        `${path}:regress`,
        {
          post: operation('Regress examples: a number for each', names, RESULTS, EXAMPLES_BODY),
        },
      ],
    ]),
  ),
};

/** The routes of the lane, which no controller declares. */
export const TF_SERVING_ROUTES: DocumentedRoutes = { tag: TAG, paths: PATHS };

function operation(
  summary: string,
  parameters: readonly string[],
  answer: object,
  body?: object,
): Operation {
  const json = (schema: object): { readonly 'application/json': { readonly schema: object } } => ({
    'application/json': { schema },
  });
  return {
    tags: [TAG.name],
    summary,
    parameters: parameters.map((name): Parameter => ({
      name,
      in: 'path',
      required: true,
      schema: TEXT,
    })),
    ...(body === undefined ? {} : { requestBody: { required: true, content: json(body) } }),
    responses: {
      200: { description: summary, content: json(answer) },
      ...Object.fromEntries(
        Object.entries(FAILURES).map(([status, description]) => [
          status,
          { description, content: json(ERROR) },
        ]),
      ),
    },
  };
}
