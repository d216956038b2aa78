import { digestBytes } from '../../src/predictions/input-digest';
import { type NamedTensors } from '../../src/common/tensor';
import { type PredictionRecord } from '../../src/predictions/prediction.doc';
import { tensorInput } from '../../src/predictions/prediction-input';
import { floatTensor } from './golden';

/** A float32 vector as the one input or output. */
export function aVector(...values: number[]): NamedTensors {
  return { x: floatTensor([1, values.length], values) };
}

/** A record of a prediction that worked; `id` comes from the repository. */
export function aRecord(id: string, overrides: Partial<PredictionRecord> = {}): PredictionRecord {
  return {
    id,
    model: 'digits',
    version: 1,
    digest: `sha256:${'0'.repeat(64)}`,
    alias: 'live',
    protocol: 'native',
    status: 'ok',
    tags: {},
    rows: 1,
    input: tensorInput(aVector(1, 2, 3)),
    outputs: aVector(0.25, 0.75),
    timings: { queueMs: 0, inferMs: 1, totalMs: 2 },
    createdAt: new Date(),
    ...overrides,
  };
}

/** The `_id` of an input in its collection. */
export function inputId(digest: string): never {
  return digestBytes(digest) as never;
}
