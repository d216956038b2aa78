import assert from 'node:assert/strict';

import { Inject, Injectable } from '@nestjs/common';
import {
  type AnyBulkWriteOperation,
  type ClientSession,
  type Collection,
  type Db,
  type Document,
  ObjectId,
} from 'mongodb';

import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';
import {
  type FeedbackDoc,
  feedbackKey,
  type FeedbackTarget,
  MAX_HISTORY,
  type Truth,
} from './feedback.doc';
import { type FeedbackLine } from './parse-feedback';

/**
 * What turned out to be true, one document per target.
 *
 * The last truth counts and the ones before stay as its history. Saying the same again changes
 * nothing, so a bulk that broke off can be sent again as a whole.
 */
@Injectable()
export class FeedbackRepository {
  private readonly feedback: Collection<FeedbackDoc>;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.feedback = db.collection('feedback');
    schema.declare('feedback', []);
  }

  async give(target: FeedbackTarget, truth: Truth): Promise<FeedbackDoc> {
    const { _id, update } = toUpdate({ target, truth });
    const options = { upsert: true, returnDocument: 'after' } as const;
    const doc = await this.feedback.findOneAndUpdate({ _id }, update, options);
    assert(doc, 'an upsert answers with what it wrote');
    return doc;
  }

  /** What was said of predictions by their own ids, and by ids of callers. @returns how much it was */
  async removeOf(
    predictionIds: readonly string[],
    { model, callerIds }: { readonly model: string; readonly callerIds: readonly string[] },
    session: ClientSession,
  ): Promise<number> {
    const keys = [
      ...predictionIds.map((predictionId) => feedbackKey({ predictionId })),
      ...callerIds.map((callerId) => feedbackKey({ model, callerId })),
    ];
    const { deletedCount } = await this.feedback.deleteMany({ _id: { $in: keys } }, { session });
    return deletedCount;
  }

  /** In the order of the lines: of several for one target the last one counts. */
  async giveAll(lines: readonly FeedbackLine[]): Promise<void> {
    if (lines.length === 0) return;
    await this.feedback.bulkWrite(
      lines.map((line): AnyBulkWriteOperation<FeedbackDoc> => {
        const { _id, update } = toUpdate(line);
        return { updateOne: { filter: { _id }, update, upsert: true } };
      }),
    );
  }
}

/**
 * Stages that join each prediction with what was said of it, as a list `feedbackDocs` of at most
 * two: by its own id, and by the caller's.
 */
export function joinFeedback(): Document[] {
  const own = { $concat: ['prediction:', { $toString: '$_id' }] };
  const callers = { $concat: ['caller:', '$model', ':', '$callerId'] };
  return [
    // Without a caller's id the second key is null, which no document has.
    { $set: { feedbackKeys: [own, callers] } },
    {
      $lookup: {
        from: 'feedback',
        localField: 'feedbackKeys',
        foreignField: '_id',
        as: 'feedbackDocs',
      },
    },
    { $unset: 'feedbackKeys' },
  ];
}

/** Of what was said by both ids, the document with the later truth; null when nothing was. */
export function latestFeedback(docs: readonly FeedbackDoc[]): FeedbackDoc | null {
  const [first, second] = docs;
  if (first && second) return second.current.givenAt > first.current.givenAt ? second : first;
  return first ?? null;
}

function toUpdate({ target, truth }: FeedbackLine): { _id: string; update: Document[] } {
  const { labels, values, source } = truth;
  const said = { labels, values, source };
  const fields: [string, unknown][] = Object.entries(said).filter(([, value]) => value);
  // Literals: a label may start with a dollar.
  const literal = Object.fromEntries(fields.map(([key, value]) => [key, { $literal: value }]));
  const isSame = {
    $and: Object.entries(said).map(([key, value]) => ({
      $eq: [{ $ifNull: [`$current.${key}`, null] }, { $literal: value ?? null }],
    })),
  };
  const isNew = { $eq: [{ $type: '$current' }, 'missing'] };
  const past = { $slice: [{ $concatArrays: ['$history', ['$current']] }, -MAX_HISTORY] };
  const pick = (first: unknown, same: unknown, other: unknown): Document => ({
    $switch: {
      branches: [
        { case: isNew, then: first },
        { case: isSame, then: same },
      ],
      default: other,
    },
  });
  const given = { ...literal, givenAt: '$$NOW' };
  const ids =
    'predictionId' in target
      ? { predictionId: new ObjectId(target.predictionId) }
      : { model: target.model, callerId: { $literal: target.callerId } };
  return {
    _id: feedbackKey(target),
    update: [
      {
        $set: {
          ...ids,
          current: pick(given, '$current', given),
          revision: pick(1, '$revision', { $add: ['$revision', 1] }),
          history: pick([], '$history', past),
        },
      },
    ],
  };
}
