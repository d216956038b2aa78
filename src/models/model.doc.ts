import { type RecordingSetting } from './recording';
import { type Pair } from './version.doc';

/** How requests for a model are gathered into batches. */
export interface BatchingSettings {
  readonly maxRows?: number;
  readonly maxDelayMs?: number;
  readonly maxQueue?: number;
}

/** Which records of a model are kept; those that exceed either limit go, oldest first. */
export interface RetentionSetting {
  readonly maxAgeDays?: number;
  readonly maxRecords?: number;
}

/** Collection `models`: a named stream of versions; `_id` is the name. */
export interface ModelDoc {
  readonly _id: string;
  readonly description: string;
  readonly tags: readonly Pair<string>[];
  readonly recording?: RecordingSetting;
  readonly batching?: BatchingSettings;
  /** Outlives the model: what was recorded of it does, too. */
  readonly retention?: RetentionSetting;
  /** When records were last removed by it. */
  readonly retainedAt?: Date;
  /** The highest number ever given; it only grows. */
  readonly lastVersion: number;
  /** The first number of this life of the model: greater than 1 after a deletion. */
  readonly firstVersion: number;
  /** A deleted model keeps its document, so that its numbers are never given again. */
  readonly deleted: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A model with what is counted from its versions and alias moves. */
export interface ModelSummary extends ModelDoc {
  readonly readyVersions: number;
  readonly latestReady: number | null;
  readonly aliases: Readonly<Record<string, number>>;
}
