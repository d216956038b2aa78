import { elementCount, type NamedTensors } from '../../../../src/common/tensor';
import { type CompiledModel } from '../../../../src/runtime/compile/compiled-form';
import { openCpuEngine } from '../../../../src/runtime/engines/cpu-engine';
import { type Engine } from '../../../../src/runtime/engines/engine';
import { compiled, differencesBetween } from '../../../support/compiled';
import { floatTensor } from '../../../support/golden';
import { aVersion, MemorySource } from '../../../support/loadable';
import { OnnxChild } from '../../../support/onnx-child';
import { aGraph, type GraphNode, placeholder, type Weight } from '../../../support/tiny-graphs';

const FLOAT = { T: { type: 'DT_FLOAT' } };
const reshape: GraphNode = { name: 'rows', op: 'Reshape', input: ['x', 'sizes'], attr: FLOAT };
const sizes = (...value: number[]): Weight => ({ name: 'sizes', value, dtype: 'int32' });
const sum = (...input: string[]): GraphNode => ({ name: 'y', op: 'AddV2', input, attr: FLOAT });
const one: Weight = { name: 'one', value: 1 };

describe('inputs whose rows are written in another shape first', () => {
  let child: OnnxChild;
  let engine: Engine;
  beforeAll(async () => {
    engine = await openCpuEngine();
    child = new OnnxChild();
  });
  afterAll(async () => {
    await child.stop();
  });

  /** The compiled form of a graph whose input is `[-1, 2, 4]`, proven on three rows. */
  async function proven(nodes: GraphNode[], weights: Weight[]): Promise<CompiledModel> {
    const files = aGraph([placeholder('x', 'DT_FLOAT', [-1, 2, 4]), ...nodes], weights);
    const onnx = await compiled(files);
    const model = await engine.load(aVersion(files), new MemorySource(files));
    const shape = [3, 2, 4];
    const numbers = Array.from({ length: elementCount(shape) }, (_, index) => index / 8);
    const feed: NamedTensors = { x: floatTensor(shape, numbers) };
    expect(differencesBetween(await child.run(onnx, feed), await model.predict(feed))).toEqual([]);
    await model.dispose();
    return onnx;
  }

  function reshapesIn({ onnx }: CompiledModel): number {
    return Buffer.from(onnx).toString('latin1').split('Reshape').length - 1;
  }

  it('are fed in that shape', async () => {
    const model = await proven([reshape, sum('rows', 'one')], [sizes(-1, 8), one]);

    expect(reshapesIn(model)).toBe(0);
    expect(model.inputs).toMatchObject([{ shape: [-1, 2, 4], fedShape: [-1, 8] }]);
  });

  it.each([
    ['before', ['z', 'rows']],
    ['after', ['rows', 'z']],
  ])('are fed as they are where something else uses them %s', async (_, order) => {
    const other = { name: 'z', op: 'Mean', input: ['x', 'axes'], attr: {} };
    const axes: Weight = { name: 'axes', value: [0, 1, 2], dtype: 'int32' };
    const model = await proven([reshape, other, sum(...order)], [sizes(-1, 8), axes]);

    expect(model.inputs[0]).not.toHaveProperty('fedShape');
  });

  it('are fed as they are where the new shape has other rows', async () => {
    const model = await proven([reshape, sum('rows', 'one')], [sizes(-1, 4), one]);

    expect(reshapesIn(model)).toBe(1);
    expect(model.inputs[0]).not.toHaveProperty('fedShape');
  });
});
