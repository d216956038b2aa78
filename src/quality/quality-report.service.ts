import { Injectable } from '@nestjs/common';

import { ModelsRepository } from '../models/models.repository';
import { type VersionDoc } from '../models/version.doc';
import { VersionsRepository } from '../models/versions.repository';
import {
  type PredictionFilter,
  PredictionsRepository,
} from '../predictions/predictions.repository';
import { type QualityFigures, QualityTally } from './quality-tally';

/** Predictions that one report looks at, the newest first. */
export const MAX_EXAMINED = 200_000;

export const BUCKETS = ['hour', 'day', 'all'] as const;
export type Bucket = (typeof BUCKETS)[number];

const BUCKET_MS = { hour: 3_600_000, day: 86_400_000 } as const;

/** How one version did in one stretch of time. */
export interface QualityGroup extends QualityFigures {
  readonly version: number;
  /** Start of the stretch; absent where the whole time is one. */
  readonly since?: string;
}

export interface QualityReport {
  readonly model: string;
  readonly bucket: Bucket;
  /** Predictions looked at, with or without a known truth. */
  readonly examined: number;
  /** Whether older predictions were left out, because there are too many. */
  readonly isTruncated: boolean;
  readonly groups: readonly QualityGroup[];
}

/** Holds what was predicted against what turned out to be true, per version and time. */
@Injectable()
export class QualityReports {
  constructor(
    private readonly models: ModelsRepository,
    private readonly versions: VersionsRepository,
    private readonly predictions: PredictionsRepository,
  ) {}

  /** @throws ModelNotFoundError */
  async report(
    filter: PredictionFilter & { readonly model: string },
    bucket: Bucket,
  ): Promise<QualityReport> {
    const { model } = filter;
    await this.models.assertExists(model);
    const versions = new Map<number, VersionDoc | null>();
    const tallies = new Map<string, { version: number; startMs: number; tally: QualityTally }>();
    const ok = { ...filter, status: 'ok' } as const;
    const examined = await this.predictions.count(ok, { limit: MAX_EXAMINED + 1 });
    for await (const { prediction, truth } of this.predictions.judged(ok, MAX_EXAMINED)) {
      const { version, createdAt } = prediction;
      if (!versions.has(version)) versions.set(version, await this.versions.find(model, version));
      const startMs = startOf(createdAt, bucket);
      const key = `${version} ${startMs}`;
      const entry = tallies.get(key) ?? { version, startMs, tally: new QualityTally() };
      tallies.set(key, entry);
      entry.tally.add(prediction, truth, versions.get(version) ?? null);
    }
    const groups = [...tallies.values()].sort(
      (a, b) => a.version - b.version || a.startMs - b.startMs,
    );
    return {
      model,
      bucket,
      examined: Math.min(examined, MAX_EXAMINED),
      isTruncated: examined > MAX_EXAMINED,
      groups: groups.map(({ version, startMs, tally }) => ({
        version,
        ...(bucket === 'all' ? {} : { since: new Date(startMs).toISOString() }),
        ...tally.report(),
      })),
    };
  }
}

function startOf(time: Date, bucket: Bucket): number {
  if (bucket === 'all') return 0;
  const ms = BUCKET_MS[bucket];
  return Math.floor(time.getTime() / ms) * ms;
}
