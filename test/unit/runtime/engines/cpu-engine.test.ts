import { openCpuEngine } from '../../../../src/runtime/engines/cpu-engine';
import { describeEngine } from '../../../support/describe-engine';
import {
  differences,
  floatTensor,
  goldenInputs,
  plainName,
  readGolden,
} from '../../../support/golden';
import { aVersion, MemorySource, readArtifact } from '../../../support/loadable';
import { greaterThanHalf } from '../../../support/tiny-graphs';

describeEngine('cpu', openCpuEngine);

describe('cpu engine', () => {
  it('keeps short predictions out of one that takes many steps', async () => {
    const engine = await openCpuEngine();
    const [stepwise, short] = [readArtifact('tfjs/digits-lstm.graph-cfv2'), greaterThanHalf()];
    const golden = readGolden('tfjs/digits-lstm.graph-cfv2');
    const long = await engine.load(aVersion(stepwise), new MemorySource(stepwise));
    const quick = await engine.load(aVersion(short), new MemorySource(short));
    const before = engine.tensorCount();

    const answer = long.predict(goldenInputs(golden));
    const others = Array.from({ length: 20 }, async (_, x) => {
      for (let microtask = 0; microtask < x * 10; microtask++) await Promise.resolve();
      return await quick.predict({ x: floatTensor([1, 3], [x, 0, 0]) });
    });

    const [expected] = golden.outputs;
    expect(differences((await answer)[plainName(expected!.name)]!, expected!)).toEqual([]);
    const large = (await Promise.all(others)).map(({ large }) => large!.data[0]);
    expect(large).toEqual(others.map((_, x) => (x > 0.5 ? 1 : 0)));
    expect(engine.tensorCount()).toBe(before);
  });
});
