const { layers } = require('./layers.json');

/** A folder may import only folders on lower lines of layers.json: everything else is one rule each. */
const layerRules = layers.flatMap((folders, rank) =>
  folders.map((folder) => {
    const forbidden = layers
      .slice(0, rank + 1)
      .flat()
      .filter((other) => other !== folder);
    return {
      name: `layer-${folder}`,
      comment: `${folder} may import only lower layers (layers.json). Declare a port in ${folder} and bind it in app.module.ts.`,
      severity: 'error',
      from: { path: `^src/${folder}/` },
      to: {
        path: `^src/(${[...forbidden, '[^/]+\\.ts$'].join('|')})${forbidden.length ? '(/|$)' : ''}`,
      },
    };
  }),
);

/** Each third-party package enters by one door. */
const door = (name, packages, path, advice) => ({
  name: `door-${name}`,
  comment: advice,
  severity: 'error',
  from: { path: '^src/', pathNot: path },
  to: { path: packages, dependencyTypesNot: ['type-only'] },
});

module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: 'no-circular',
      comment: 'Two files that import each other are one file, or miss a third.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'known-layer',
      comment: 'A new folder under src/ needs a line in layers.json.',
      severity: 'error',
      from: { path: `^src/(?!(${layers.flat().join('|')})/)[^/]+/` },
      to: {},
    },
    {
      name: 'src-is-alone',
      comment: 'The product never imports tests, scripts or benches.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|scripts|bench)/' },
    },
    door(
      'tfjs',
      '(^|/)node_modules/@tensorflow/',
      '^src/runtime/engines/',
      'TensorFlow.js values enter only in src/runtime/engines; elsewhere import its types.',
    ),
    door(
      'onnx',
      '(^|/)node_modules/onnxruntime-',
      '^src/runtime/engines/onnx-',
      'ONNX Runtime enters only in src/runtime/engines/onnx-*: it blocks and aborts whole processes.',
    ),
    door(
      'zstd',
      '(^|/)node_modules/zstd-napi/',
      '^src/artifacts/codec/',
      'zstd enters only in src/artifacts/codec.',
    ),
    door(
      'h5wasm',
      '(^|/)node_modules/h5wasm/',
      '^src/formats/keras/hdf5-file\\.ts$',
      'HDF5 is read only in src/formats/keras/hdf5-file.ts.',
    ),
    door(
      'sharp',
      '(^|/)node_modules/sharp/',
      '^src/features/decode-image\\.ts$',
      'Images are decoded only in src/features/decode-image.ts.',
    ),
    door(
      'mongodb',
      '(^|/)node_modules/mongodb/',
      '^src/(mongo/|.+\\.(repository|store)\\.ts$)',
      'mongodb values enter only in src/mongo, *.repository.ts and *.store.ts; elsewhere import its types.',
    ),
    door(
      'prom-client',
      '(^|/)node_modules/prom-client/',
      '^src/metrics/',
      'Figures are counted only by the methods of src/metrics/metrics.ts.',
    ),
    door(
      'express',
      '(^|/)node_modules/express/',
      '^$',
      'Only the types of express are needed; the platform package brings the values.',
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['require', 'node', 'default', 'types'],
    },
  },
};
