import { openWasmEngine } from '../../../../src/runtime/engines/wasm-engine';
import { describeEngine } from '../../../support/describe-engine';
import { goldenInputs, readGolden } from '../../../support/golden';
import { aVersion, MemorySource, readArtifact } from '../../../support/loadable';

describeEngine('wasm', openWasmEngine);

describe('wasm engine', () => {
  it('names a kernel that it lacks (53)', async () => {
    const engine = await openWasmEngine();
    const files = readArtifact('tfjs/zoo-mha.graph');
    const model = await engine.load(aVersion(files), new MemorySource(files));

    const attempt = model.predict(goldenInputs(readGolden('tfjs/zoo-mha.graph')));

    await expect(attempt).rejects.toThrow('The wasm engine has no Einsum');
    await model.dispose();
  });
});
