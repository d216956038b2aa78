import { allowedEngines, engineFor } from '../../../src/runtime/engine-choice';
import { EngineUnavailableError, ModelUnloadableError } from '../../../src/runtime/runtime.errors';

describe('allowedEngines', () => {
  it.each([
    ['auto', false, ['wasm', 'cpu']],
    ['auto', true, ['wasm', 'node', 'cpu']],
    ['wasm', true, ['wasm']],
    ['node', false, ['node']],
    ['cpu', true, ['cpu']],
  ] as const)('allows for %s (native package there: %s) %j', (choice, hasNative, expected) => {
    expect(allowedEngines(choice, hasNative)).toEqual(expected);
  });

  it('says which engines there are when asked for one that this build lacks', () => {
    expect(() => allowedEngines('onnx', true)).toThrow(EngineUnavailableError);
    expect(() => allowedEngines('onnx', true)).toThrow('wasm, node, cpu');
  });
});

describe('engineFor', () => {
  it.each([
    ['the first choice for a version that no engine has tried', {}, 'wasm'],
    ['the engine that ran it', { wasm: { ok: false }, cpu: { ok: true } }, 'cpu'],
    ['the preferred one of several that ran it', { cpu: { ok: true }, wasm: { ok: true } }, 'wasm'],
    ['one that is untried when the first choice failed', { wasm: { ok: false } }, 'cpu'],
  ])('picks %s', (_, reports, expected) => {
    expect(engineFor(['wasm', 'cpu'], reports)).toBe(expected);
  });

  it('refuses a version that every allowed engine failed on', () => {
    const reports = { wasm: { ok: false, reason: 'no Einsum' }, cpu: { ok: true } };

    expect(() => engineFor(['wasm'], reports)).toThrow(ModelUnloadableError);
  });
});
