import fc from 'fast-check';

import { InvalidInputError } from '../../../src/common/errors';
import {
  aDenseModel,
  aFunctional,
  type Files,
  inspectFiles,
  type Json,
  jsonOf,
  withJson,
} from '../../support/inspected-artifact';
import { endlessLoop, greaterThanHalf } from '../../support/tiny-graphs';
import { readArtifact } from '../../support/loadable';

/** What a damaged field may turn into. */
const DAMAGE = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    undefined,
    true,
    -1,
    0,
    1.5,
    2 ** 31,
    1e300,
    '',
    '__proto__',
    'constructor',
    [],
    {},
    [[]],
    [null],
    [{}],
    { name: null },
    { toString: 0, valueOf: 0 },
    [{ toString: 0 }],
    { __proto__: null, constructor: 1 },
  ),
  fc.jsonValue(),
);

const MODELS: readonly (readonly [string, Files])[] = [
  ['a Sequential model', aDenseModel()],
  ['a functional model', aFunctional()],
  ['a graph', greaterThanHalf()],
  ['a graph with functions', endlessLoop()],
  ['nested models', readArtifact('tfjs/zoo-nested.k3h5.fixed')],
  ['recurrent layers', readArtifact('tfjs/zoo-text.k3h5.fixed')],
  ['a quantised graph', readArtifact('tfjs/digits-cnn-v1.graph-uint8')],
];

describe('inspectArtifact with one damaged field', () => {
  it.each(MODELS)('accepts or refuses %s, and never fails', (_, files) => {
    const places = placesIn(jsonOf(files));
    const outcomes = { accepted: 0, refused: 0 };

    fc.assert(
      fc.property(fc.nat(places.length - 1), DAMAGE, (place, value) => {
        const json = jsonOf(files);
        damage(json, places[place]!, value);
        try {
          inspectFiles(withJson(files, json));
          outcomes.accepted++;
        } catch (error) {
          if (!(error instanceof InvalidInputError)) throw error;
          outcomes.refused++;
        }
      }),
      { numRuns: 1500 },
    );

    // A test of nothing would have only one of them.
    expect(outcomes.accepted).toBeGreaterThan(0);
    expect(outcomes.refused).toBeGreaterThan(0);
  });

  it.each(MODELS)('accepts or refuses the bytes of %s with one changed', (_, files) => {
    const original = files.get('model.json')!;

    fc.assert(
      fc.property(fc.nat(original.length - 1), fc.nat(255), (at, byte) => {
        const content = Uint8Array.from(original);
        content[at] = byte;
        try {
          inspectFiles(new Map([...files, ['model.json', content]]));
        } catch (error) {
          if (!(error instanceof InvalidInputError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });
});

type Place = readonly (string | number)[];

/** Every value inside a JSON value, as the keys that lead to it. */
function placesIn(value: Json, at: Place = []): Place[] {
  if (typeof value !== 'object' || value === null) return [at];
  const keys = Array.isArray(value) ? value.map((_, index) => index) : Object.keys(value as object);
  const inner = keys.flatMap((key) => placesIn(value[key], [...at, key]));
  return at.length === 0 ? inner : [at, ...inner];
}

function damage(json: Json, place: Place, value: unknown): void {
  let parent = json;
  for (const key of place.slice(0, -1)) parent = parent[key];
  parent[place.at(-1)!] = value;
}
