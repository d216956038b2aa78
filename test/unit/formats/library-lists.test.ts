import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { serialization } from '@tensorflow/tfjs-core';
import { layers } from '@tensorflow/tfjs-layers';

import { GRAPH_OPS } from '../../../src/formats/graph-ops';
import { LAYER_CLASSES } from '../../../src/formats/layer-classes';

describe('lists of what TensorFlow.js has', () => {
  it('knows exactly the layers in the registry of the library', () => {
    const registered = Object.entries(serialization.SerializationMap.getMap().classNameMap)
      .filter(([, [constructor]]) => constructor.prototype instanceof layers.Layer)
      .map(([name]) => name);

    expect([...LAYER_CLASSES].sort()).toEqual(registered.sort());
  });

  it('knows exactly the ops that the converter maps', () => {
    const operations = join(dirname(require.resolve('@tensorflow/tfjs-converter')), 'operations');
    const mapper = readFileSync(join(operations, 'operation_mapper.js'), 'utf8');
    const lists = [...mapper.matchAll(/from '(\.\/op_list\/\w+)'/g)].map(([, path]) => path!);

    const mapped = lists.flatMap((path) => {
      const source = readFileSync(join(operations, `${path}.js`), 'utf8');
      return [...source.matchAll(/tfOpName['"]?: ['"](\w+)['"]/g)].map(([, op]) => op!);
    });

    expect(lists.length).toBeGreaterThan(15);
    expect([...GRAPH_OPS].sort()).toEqual([...new Set(mapped)].sort());
  });
});
