import { setTimeout as sleep } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';
import { type ObjectId } from 'mongodb';

import { ArtifactStore } from '../artifacts/artifact.store';
import { BlobRemover } from '../artifacts/blob-remover';
import { BlobReferences } from './blob-references';
import { DeletionService } from './deletion.service';
import { LeadersRepository } from './leaders.repository';
import { UploadReaper } from './upload-reaper.service';

const WORK = 'sweep';
/** Blobs that are looked at together. */
const PAGE = 500;
/** Between two pages: the sweep is never in a hurry, uploads and loads are. */
const PAUSE_MS = 100;

export interface SweepOptions {
  /** Only says what would go. */
  readonly isDryRun?: boolean;
  readonly pauseMs?: number;
  /** Ends it behind the page that it is at. */
  readonly signal?: AbortSignal;
}

/** What a sweep removed, or would remove. */
export interface SweepReport {
  /** False when another process is sweeping or took over meanwhile, or when it was to end. */
  readonly finished: boolean;
  /** Interrupted uploads and due deletions that were finished. */
  readonly interrupted: number;
  /** Blobs, and chunks that never became blobs, that nobody refers to. */
  readonly blobs: number;
  readonly storedBytes: number;
}

/**
 * Removes the bytes that nobody can reach.
 *
 * It walks every blob and every chunk, and asks who needs them: what no version, no upload that is
 * alive and no difference refers to goes, however old or young it is, and what somebody refers to
 * stays. One process sweeps at a time; one that stood still and was replaced finds out before it
 * removes anything more.
 */
@Injectable()
export class Sweeper {
  constructor(
    private readonly leaders: LeadersRepository,
    private readonly reaper: UploadReaper,
    private readonly deletion: DeletionService,
    private readonly artifacts: ArtifactStore,
    private readonly references: BlobReferences,
    private readonly remover: BlobRemover,
  ) {}

  async sweep({
    isDryRun = false,
    pauseMs = PAUSE_MS,
    signal,
  }: SweepOptions = {}): Promise<SweepReport> {
    const report = { finished: false, interrupted: 0, blobs: 0, storedBytes: 0 };
    const walk = async (stillLeads: () => Promise<boolean>): Promise<void> => {
      for await (const page of this.pages()) {
        if (!(await stillLeads())) return;
        const { blobs, storedBytes } = isDryRun ? await this.measure(page) : await this.free(page);
        report.blobs += blobs;
        report.storedBytes += storedBytes;
        await sleep(pauseMs);
      }
      report.finished = true;
    };
    if (isDryRun) {
      // It changes nothing, so it needs no leave.
      await walk(async () => await Promise.resolve(true));
      return report;
    }
    const run = async (stillLeads: () => Promise<boolean>): Promise<void> => {
      report.interrupted = await this.reaper.reap({ signal });
      report.interrupted += await this.deletion.finishModels(signal);
      await walk(stillLeads);
    };
    await this.leaders.lead(WORK, run, signal);
    return report;
  }

  /** Ids of blobs and of whatever else has chunks, each at least once. */
  private async *pages(): AsyncGenerator<ObjectId[]> {
    const { blobs } = this.artifacts;
    for (let after: ObjectId | undefined; ;) {
      const owners = await blobs.listChunkOwners(PAGE, after);
      if (owners.length > 0) yield owners;
      if (owners.length < PAGE) break;
      after = owners.at(-1);
    }
    // Blobs without a chunk: a removal goes the other way round, yet nothing else would find them.
    for (let after: ObjectId | undefined; ;) {
      const docs = await blobs.list(PAGE, after);
      if (docs.length > 0) yield docs.map(({ _id }) => _id);
      if (docs.length < PAGE) break;
      after = docs.at(-1)?._id;
    }
  }

  private async free(page: readonly ObjectId[]): Promise<{ blobs: number; storedBytes: number }> {
    await this.spareNeeded(page);
    const gone = await this.measure(page);
    if (gone.ids.length > 0) await this.remover.free(gone.ids);
    return gone;
  }

  /** A removal that was cut off leaves its mark on blobs that came to be needed: new uploads then pass them by. */
  private async spareNeeded(page: readonly ObjectId[]): Promise<void> {
    const doomed = (await this.artifacts.blobs.findByIds(page)).filter(
      ({ metadata }) => metadata.doomedBy !== undefined,
    );
    if (doomed.length === 0) return;
    const needed = await this.references.referencedAmong(doomed.map(({ _id }) => _id));
    for (const { _id, metadata } of doomed) {
      if (needed.has(_id.toHexString())) {
        await this.artifacts.blobs.spare([_id], metadata.doomedBy ?? '');
      }
    }
  }

  /** Which of a page nobody needs, and what it takes up. */
  private async measure(
    page: readonly ObjectId[],
  ): Promise<{ ids: ObjectId[]; blobs: number; storedBytes: number }> {
    const { blobs } = this.artifacts;
    // References first: an upload that ends in between has made all its blobs by then.
    const needed = new Set(await this.references.referencedAmong(page));
    const open = page.filter((id) => !needed.has(id.toHexString()));
    for (const base of await blobs.listBasesOfOthers(open)) needed.add(base.toHexString());
    const ids = open.filter((id) => !needed.has(id.toHexString()));
    return { ids, blobs: ids.length, storedBytes: await blobs.chunkBytes(ids) };
  }
}
