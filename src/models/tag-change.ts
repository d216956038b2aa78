import { type Document } from 'mongodb';

import { TooManyTagsError } from './models.errors';

/** One tag that is set, or taken away where there is no value. */
export interface TagChange {
  readonly key: string;
  readonly value?: string;
}

/** As many as a description of a model or a version may bring. */
const MAX_TAGS = 100;

/** The update that carries out a change of one tag: the others are as they are by then. */
export function tagUpdate({ key, value }: TagChange): Document[] {
  const others = {
    $filter: { input: '$tags', cond: { $ne: ['$$this.k', { $literal: key }] } },
  };
  // As a literal: a text that begins with a dollar would name a field.
  const own = value === undefined ? [] : [{ k: { $literal: key }, v: { $literal: value } }];
  return [{ $set: { tags: { $concatArrays: [others, own] }, updatedAt: '$$NOW' } }];
}

/** Matches where there is room for the tag, or it stands already. */
export function hasRoomFor({ key, value }: TagChange): Document {
  if (value === undefined) return {};
  return { $or: [{ 'tags.k': key }, { [`tags.${MAX_TAGS - 1}`]: { $exists: false } }] };
}

export function tooManyTags(what: string): TooManyTagsError {
  return new TooManyTagsError(`${what} has ${MAX_TAGS} tags already; take one away first`);
}
