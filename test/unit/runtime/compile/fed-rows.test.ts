import { elementCount } from '../../../../src/common/tensor';
import { type CompiledModel } from '../../../../src/runtime/compile/compiled-form';
import { floatTensor } from '../../../support/golden';
import { GraphTrial } from '../../../support/graph-trial';
import { aGraph, type GraphNode, placeholder, type Weight } from '../../../support/tiny-graphs';

const FLOAT = { T: { type: 'DT_FLOAT' } };
const reshape: GraphNode = { name: 'rows', op: 'Reshape', input: ['x', 'sizes'], attr: FLOAT };
const sizes = (...value: number[]): Weight => ({ name: 'sizes', value, dtype: 'int32' });
const sum = (...input: string[]): GraphNode => ({ name: 'y', op: 'AddV2', input, attr: FLOAT });
const one: Weight = { name: 'one', value: 1 };

describe('inputs whose rows are written in another shape first', () => {
  let trial: GraphTrial;
  beforeAll(async () => {
    trial = await GraphTrial.start();
  });
  afterAll(async () => {
    await trial.stop();
  });

  /** The compiled form of a graph whose input is `[-1, 2, 4]`, proven on three rows. */
  async function proven(nodes: GraphNode[], weights: Weight[]): Promise<CompiledModel> {
    const files = aGraph([placeholder('x', 'DT_FLOAT', [-1, 2, 4]), ...nodes], weights);
    const shape = [3, 2, 4];
    const numbers = Array.from({ length: elementCount(shape) }, (_, index) => index / 8);
    const { onnx, found } = await trial.compare(files, [{ x: floatTensor(shape, numbers) }]);
    expect(found).toEqual([]);
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
