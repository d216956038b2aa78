import fc from 'fast-check';
import { BSON, ObjectId } from 'mongodb';

import { type NamedTensors } from '../../../src/common/tensor';
import { toPrediction, toPredictionDoc } from '../../../src/predictions/prediction-form';
import { tensorInput } from '../../../src/predictions/prediction-input';
import { outputsOf } from '../../../src/predictions/prediction-proof';
import { type PredictionDoc, type PredictionRecord } from '../../../src/predictions/prediction.doc';
import { aRecord, aVector } from '../../support/prediction-records';

const ID = '6b0179fe9ecacdb3156eb26b';

/** What the database gives back of a document. */
function stored(record: PredictionRecord): PredictionDoc {
  const bytes = BSON.serialize(toPredictionDoc(record, new ObjectId(record.id)));
  return BSON.deserialize(bytes, { promoteBuffers: true }) as PredictionDoc;
}

/** The record as the answer has it: without the bytes of its input, outputs as a list. */
function readable({ input, outputs, ...rest }: PredictionRecord): object {
  return {
    ...rest,
    input: { ...input, content: undefined },
    outputs: Object.entries(outputs ?? {}).map(([name, { dtype, shape, data }]) => ({
      name,
      dtype,
      shape,
      data: Buffer.from(data),
    })),
  };
}

describe('toPrediction', () => {
  it.each<[string, Partial<PredictionRecord>]>([
    ['usual', {}],
    [
      'unusual',
      {
        protocol: 'oip',
        callerId: 'mine',
        tags: { 'a.b': '$c', '': '' },
        rows: 3,
        input: {
          ...tensorInput(aVector(1)),
          kind: 'image',
          contentType: 'image/png',
          filename: 'seven.png',
          recipe: 'sha256:ab',
        },
        top: [
          [
            { label: '7', score: 0.75 },
            { label: '', score: -0.5 },
          ],
          [],
          [{ label: '$1', score: 3 }],
        ],
        importedAt: new Date(1),
      },
    ],
    ['failed', { status: 'failed', error: { code: 'inference_failed', message: 'It failed' } }],
    ['slow', { timings: { queueMs: 0.001, inferMs: 3_000_000.123, totalMs: 86_400_000 } }],
  ])('gives back a %s record as it was handed over', (_what, overrides) => {
    const record = aRecord(ID, overrides);

    expect(toPrediction(stored(record))).toEqual(readable(record));
  });

  it('keeps tensors of any name, type and shape', () => {
    const tensor = fc.record({
      dtype: fc.constantFrom('float32' as const, 'int32' as const, 'bool' as const),
      shape: fc.array(fc.nat(1000), { maxLength: 5 }),
      data: fc.uint8Array({ maxLength: 8 }),
    });
    // As BSON holds text: without lone surrogates.
    const tensors = fc.dictionary(fc.string({ unit: 'grapheme' }), tensor, { maxKeys: 4 });
    fc.assert(
      fc.property(tensors, (outputs: NamedTensors) => {
        const read = outputsOf(toPrediction(stored(aRecord(ID, { outputs }))));
        expect(Object.entries(read ?? {})).toEqual(
          Object.entries(outputs).map(([name, given]) => [
            name,
            { ...given, data: Buffer.from(given.data) },
          ]),
        );
      }),
    );
  });

  it('takes a record whose values were left in the database', () => {
    const doc = stored(aRecord(ID));
    const outputs = doc.outputs!.map(({ tensor }) => ({ tensor }));

    expect(toPrediction({ ...doc, outputs: outputs as never }).outputs).toEqual([
      { name: 'x', dtype: 'float32', shape: [1, 2] },
    ]);
  });
});

describe('toPredictionDoc', () => {
  it('lists each best label once', () => {
    const best = (label: string) => [{ label, score: 1 }];

    const { labels } = toPredictionDoc(
      aRecord(ID, { top: [best('b'), best('a'), [], best('b')] }),
      new ObjectId(),
    );

    expect(labels).toEqual(['b', 'a']);
  });

  it('spends at most 400 bytes on all that is no number of a record and its input', () => {
    const outputs = { scores: aVector(...Array<number>(1000).fill(1))['x']! };

    const bytes = BSON.calculateObjectSize(stored(aRecord(ID, { model: 'cancer', outputs })));

    expect(bytes - 4000).toBeLessThan(400);
  });
});
