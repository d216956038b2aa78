import { type NamedTensors } from '../../src/common/tensor';
import { type CompiledModel } from '../../src/runtime/compile/compiled-form';
import { openCpuEngine } from '../../src/runtime/engines/cpu-engine';
import { type Engine } from '../../src/runtime/engines/engine';
import { compiled, differencesBetween } from './compiled';
import { aVersion, MemorySource } from './loadable';
import { OnnxChild } from './onnx-child';

/** Compiles models and compares what they answer with what TensorFlow.js does. */
export class GraphTrial {
  readonly child = new OnnxChild();

  private constructor(readonly engine: Engine) {}

  static async start(): Promise<GraphTrial> {
    return new GraphTrial(await openCpuEngine());
  }

  /** The compiled model, and where its answers differ: `differencesBetween` for each feed. */
  async compare(
    files: ReadonlyMap<string, Uint8Array>,
    feeds: readonly NamedTensors[],
    absolute?: number,
  ): Promise<{ readonly onnx: CompiledModel; readonly found: readonly string[] }> {
    const onnx = await compiled(files);
    const model = await this.engine.load(aVersion(files), new MemorySource(files));
    const found: string[] = [];
    for (const feed of feeds) {
      const [actual, expected] = [await this.child.run(onnx, feed), await model.predict(feed)];
      found.push(...differencesBetween(actual, expected, absolute));
    }
    await model.dispose();
    return { onnx, found };
  }

  async stop(): Promise<void> {
    await this.child.stop();
  }
}
