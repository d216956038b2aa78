import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { type NamedTensors, type Tensor } from '../../src/common/tensor';
import { type CompiledModel } from '../../src/runtime/compile/compiled-form';

type Values = Float32Array | Int32Array | Uint8Array;
interface Answer {
  readonly id: number;
  readonly error?: string;
  readonly outputs?: Record<string, { type: Tensor['dtype']; shape: number[]; data: Values }>;
}

/** Runs compiled models in ONNX Runtime, in a process of its own. */
export class OnnxChild {
  private readonly child: ChildProcess = fork(join(__dirname, 'run-onnx.cjs'), {
    serialization: 'advanced',
  });
  private nextId = 1;

  async run({ onnx, inputs, outputs }: CompiledModel, feed: NamedTensors): Promise<NamedTensors> {
    const id = this.nextId++;
    const named = inputs.map(({ name, onnxName, fedShape }) => {
      const { dtype, shape, data } = feed[name]!;
      const fed = fedShape ? [shape[0]!, ...fedShape.slice(1)] : [...shape];
      return [onnxName, { type: dtype, shape: fed, data: valuesOf(dtype, data) }];
    });
    this.child.send({ id, onnx, inputs: Object.fromEntries(named) });
    const answer = await this.answerTo(id);
    if (!answer.outputs) throw new Error(answer.error);
    return Object.fromEntries(
      outputs.map(({ name, onnxName }) => {
        const { type, shape, data } = answer.outputs![onnxName]!;
        const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        return [name, { dtype: type, shape, data: bytes.slice() }];
      }),
    );
  }

  async stop(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.disconnect();
    await exited;
  }

  private async answerTo(id: number): Promise<Answer> {
    for (;;) {
      const [answer] = (await once(this.child, 'message')) as [Answer];
      if (answer.id === id) return answer;
    }
  }
}

function valuesOf(dtype: Tensor['dtype'], data: Uint8Array): Values {
  const { buffer } = data.slice();
  if (dtype === 'int32') return new Int32Array(buffer);
  return dtype === 'bool' ? new Uint8Array(buffer) : new Float32Array(buffer);
}
