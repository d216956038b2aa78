import { COMPILER_VERSION } from '../../../src/runtime/compile/compiler-version';
import { allowedEngines, canRun, engineFor, isStale } from '../../../src/runtime/engine-choice';
import { EngineMissingError, ModelUnloadableError } from '../../../src/runtime/runtime.errors';

describe('allowedEngines', () => {
  it.each([
    ['auto', ['wasm', 'cpu'], ['wasm', 'cpu']],
    ['auto', ['cpu', 'wasm', 'node', 'onnx'], ['onnx', 'wasm', 'node', 'cpu']],
    ['wasm', ['wasm', 'cpu', 'node'], ['wasm']],
    ['node', ['wasm', 'cpu'], ['node']],
    ['onnx', ['wasm', 'cpu', 'onnx'], ['onnx']],
  ] as const)('allows for %s (installed: %j) %j', (choice, installed, expected) => {
    expect(allowedEngines(choice, new Set(installed))).toEqual(expected);
  });
});

describe('engineFor', () => {
  it.each([
    ['the first choice for a version that no engine has tried', {}, 'wasm'],
    ['the engine that ran it', { wasm: { ok: false }, cpu: { ok: true } }, 'cpu'],
    ['the preferred one of several that ran it', { cpu: { ok: true }, wasm: { ok: true } }, 'wasm'],
    ['one that is untried when the first choice failed', { wasm: { ok: false } }, 'cpu'],
  ])('picks %s', (_, reports, expected) => {
    expect(engineFor(['wasm', 'cpu'], { format: 'tfjs-graph', engines: reports })).toBe(expected);
  });

  const measured = (one: number, many: number) => ({
    ok: true,
    msPerBatch: { '1': one, '32': many },
  });

  it.each([
    ['one row by the time of one', 1, 'wasm'],
    ['some rows like one', 7, 'wasm'],
    ['many rows by the time of 32', 8, 'node'],
  ])('picks the engine that was measured as the fastest: %s', (_, rows, expected) => {
    const reports = { wasm: measured(0.3, 12), node: measured(1.9, 2.5) };

    const version = { format: 'tfjs-graph', engines: reports } as const;
    expect(engineFor(['wasm', 'node', 'cpu'], version, rows)).toBe(expected);
  });

  it('stays with the preferred engine where another is hardly faster', () => {
    const reports = { wasm: measured(1, 10), node: measured(0.9, 7) };

    const version = { format: 'tfjs-graph', engines: reports } as const;
    expect(engineFor(['wasm', 'node'], version, 1)).toBe('wasm');
    expect(engineFor(['wasm', 'node'], version, 32)).toBe('node');
  });

  it('refuses a version that every allowed engine failed on', () => {
    const reports = { wasm: { ok: false, reason: 'no Einsum' }, cpu: { ok: true } };

    const version = { format: 'tfjs-graph', engines: reports } as const;

    expect(() => engineFor(['wasm'], version)).toThrow(ModelUnloadableError);
  });

  it('runs a SavedModel on the node engine, tried or missed when it was uploaded', () => {
    const missed = { node: { ok: false, code: 'engine_missing' } };

    for (const engines of [{}, missed, { node: { ok: true } }]) {
      const version = { format: 'tf-saved-model', engines } as const;
      expect(engineFor(['wasm', 'node', 'cpu'], version)).toBe('node');
    }
  });

  it('says how to get the engine that a SavedModel needs', () => {
    const version = { format: 'tf-saved-model', engines: {} } as const;

    expect(() => engineFor(['wasm', 'cpu'], version)).toThrow(EngineMissingError);
    expect(() => engineFor(['wasm', 'cpu'], version)).toThrow('npm run native');
  });
});

describe('a compiled form', () => {
  const allowed = ['onnx', 'wasm', 'cpu'] as const;
  const wasm = { ok: true, msPerBatch: { '1': 1 } };
  const onnx = { ok: true, msPerBatch: { '1': 0.1 }, compiler: COMPILER_VERSION };

  it.each([
    ['runs where it was proven', { wasm, onnx }, 'onnx'],
    ['never runs untried', {}, 'wasm'],
    ['never runs where it answered otherwise', { wasm, onnx: { ...onnx, ok: false } }, 'wasm'],
    ['never runs on what another release proved', { wasm, onnx: { ...onnx, compiler: 0 } }, 'wasm'],
    [
      'gives way to an engine that is much faster',
      { wasm: { ok: true, msPerBatch: { '1': 0.05 } }, onnx },
      'wasm',
    ],
  ])('%s', (_, reports, expected) => {
    expect(engineFor(allowed, { format: 'tfjs-graph', engines: reports })).toBe(expected);
  });

  it('that was not proven is nothing to run, even where nothing else is allowed', () => {
    expect(() => engineFor(['onnx'], { format: 'tfjs-graph', engines: { wasm } })).toThrow(
      ModelUnloadableError,
    );
    expect(canRun(['onnx'], { format: 'tfjs-layers', engines: { wasm } })).toBe(false);
    expect(canRun(['onnx'], { format: 'tfjs-layers', engines: { onnx } })).toBe(true);
    expect(canRun(allowed, { format: 'tfjs-layers', engines: {} })).toBe(true);
  });
});

describe('isStale', () => {
  const running = new Map([['wasm', 'wasm 4.22'] as const]);

  it.each([
    ['fresh', ['wasm', 'cpu'], { wasm: { ok: true, measuredWith: 'wasm 4.22' } }, false],
    [
      'of another release',
      ['wasm', 'cpu'],
      { wasm: { ok: true, measuredWith: 'wasm 4.21' } },
      true,
    ],
    [
      'without an engine that came later',
      ['wasm', 'node', 'cpu'],
      {
        wasm: { ok: true, measuredWith: 'wasm 4.22' },
      },
      true,
    ],
    [
      'of an engine that is not running now',
      ['wasm', 'node', 'cpu'],
      {
        wasm: { ok: true, measuredWith: 'wasm 4.22' },
        node: { ok: true, measuredWith: 'whatever' },
      },
      false,
    ],
  ] as const)('tells whether a measurement is stale: %s', (_, allowed, reports, expected) => {
    const version = { format: 'tfjs-graph', engines: reports } as const;
    expect(isStale(allowed, version, running)).toBe(expected);
  });

  it('has nothing to choose for a SavedModel that its engine ran', () => {
    const ran = { format: 'tf-saved-model', engines: { node: { ok: true } } } as const;
    const missed = { format: 'tf-saved-model', engines: { node: { ok: false } } } as const;

    expect(isStale(['wasm', 'node', 'cpu'], ran, running)).toBe(false);
    expect(isStale(['wasm', 'node', 'cpu'], missed, running)).toBe(true);
    expect(isStale(['wasm', 'cpu'], missed, running)).toBe(false);
  });
});
