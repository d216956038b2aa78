import { setTimeout as sleep } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';
import { type ClientSession, type ObjectId } from 'mongodb';

import { HoldsRepository } from '../models/holds.repository';
import { LeadersRepository } from '../models/leaders.repository';
import { type RetentionSetting } from '../models/model.doc';
import { ModelsRepository } from '../models/models.repository';
import { AuditRepository } from './audit.repository';
import { FeedbackRepository } from './feedback.repository';
import { FREEING_GRACE_MS, InputFreeing } from './input-freeing.service';
import { InputsStore } from './inputs.store';
import { type CondemnedRecords, PredictionsRepository } from './predictions.repository';
import { RecordingCounts } from './recording-counts';

const WORK = 'retention';
/** Records that are removed in one transaction. */
const PAGE = 500;
/** Between two pages: it is never in a hurry, predictions are. */
const PAUSE_MS = 100;

export interface RetainOptions {
  readonly graceMs?: number;
  readonly pauseMs?: number;
  /** Ends it behind the page that it is at. */
  readonly signal?: AbortSignal;
}

/** What a run removed. */
export interface RetentionReport {
  /** False when another process is at it or took over meanwhile, or when it was to end. */
  readonly finished: boolean;
  readonly records: number;
  readonly feedback: number;
  readonly inputs: number;
  /** Of records and inputs, as they were stored. */
  readonly bytes: number;
  /** Inputs that nobody refers to and that go when the grace is over. */
  readonly waiting: number;
}

/** What a run and the one after the grace would remove. */
export interface RetentionForecast {
  readonly records: number;
  readonly inputs: number;
  readonly bytes: number;
}

type PageResult = 'stopped' | { readonly records: number; feedback: number; bytes: number };

const NOTHING = { records: 0, feedback: 0, bytes: 0 } as const;

/**
 * Removes records by the settings of their models, and then the inputs that none refers to any more.
 *
 * Whatever is held stays. Each page of records goes in one transaction with what was said of them
 * and with the count in the audit, and only if neither the setting changed nor a hold came since:
 * a run can be cut off anywhere, and a process that stood still does no harm when it goes on.
 */
@Injectable()
export class Retention {
  constructor(
    private readonly leaders: LeadersRepository,
    private readonly models: ModelsRepository,
    private readonly holds: HoldsRepository,
    private readonly predictions: PredictionsRepository,
    private readonly feedback: FeedbackRepository,
    private readonly inputs: InputsStore,
    private readonly freeing: InputFreeing,
    private readonly audit: AuditRepository,
    private readonly counts: RecordingCounts,
  ) {}

  async retain({
    graceMs = FREEING_GRACE_MS,
    pauseMs = PAUSE_MS,
    signal,
  }: RetainOptions = {}): Promise<RetentionReport> {
    const report = { finished: false, ...NOTHING, inputs: 0, waiting: 0 };
    const run = async (stillLeads: () => Promise<boolean>): Promise<void> => {
      for (const { _id: model, retention } of await this.models.listRetained()) {
        if (!retention || signal?.aborted) continue;
        const removed = await this.trim(model, retention, { pauseMs, stillLeads });
        report.records += removed.records;
        report.feedback += removed.feedback;
        report.bytes += removed.bytes;
      }
      const { inputs, bytes, waiting } = await this.freeing.free({ graceMs, pauseMs, stillLeads });
      report.inputs += inputs;
      report.bytes += bytes;
      report.waiting = waiting;
      report.finished = await stillLeads();
    };
    await this.leaders.lead(WORK, run, signal);
    this.counts.add('removed', report.records);
    return report;
  }

  /** Only looks. */
  async forecast(): Promise<RetentionForecast> {
    const condemned: CondemnedRecords[] = [];
    for (const { _id: model, retention } of await this.models.listRetained()) {
      if (!retention || (await this.holds.find('model', model))) continue;
      const upTo = await this.predictions.findLast(model, retention);
      if (upTo) condemned.push({ model, upTo });
    }
    const held = (await this.holds.listOf('prediction')).map(({ target }) => target);
    const heldInputs = (await this.holds.listOf('input')).map(({ target }) => target);
    const records = await this.predictions.measure(condemned, held);
    const inputs = await this.inputs.measureUnused(condemned, held, heldInputs);
    return {
      records: records.count,
      inputs: inputs.count,
      bytes: records.bytes + inputs.bytes,
    };
  }

  /** How many records of a model its setting condemns right now, held ones included. */
  async countDue(model: string, retention: RetentionSetting): Promise<number> {
    const upTo = await this.predictions.findLast(model, retention);
    return upTo ? (await this.predictions.measure([{ model, upTo }], [])).count : 0;
  }

  private async trim(
    model: string,
    retention: RetentionSetting,
    { pauseMs, stillLeads }: { pauseMs: number; stillLeads: () => Promise<boolean> },
  ): Promise<typeof NOTHING | Exclude<PageResult, 'stopped'>> {
    const upTo = await this.predictions.findLast(model, retention);
    if (!upTo) return NOTHING;
    const total = { records: 0, feedback: 0, bytes: 0 };
    const auditId = this.audit.newId();
    const at = new Date();
    for (let after: ObjectId | undefined; ;) {
      const page = await this.predictions.listIds({ model, upTo }, PAGE, after);
      if (page.length === 0 || !(await stillLeads())) break;
      after = page.at(-1);
      const removed = await this.holds.exclusively<PageResult>(async (session) => {
        const open = await this.openAmong(model, retention, page, session);
        if (!open) return 'stopped';
        if (open.length === 0) return NOTHING;
        const gone = await this.removeAll(model, open, session);
        const entry = { _id: auditId, action: 'records_removed', model, retention, at } as const;
        await this.audit.add(entry, gone, session);
        return gone;
      });
      if (removed === 'stopped') break;
      total.records += removed.records;
      total.feedback += removed.feedback;
      total.bytes += removed.bytes;
      await sleep(pauseMs);
    }
    if (total.records > 0) await this.audit.complete(auditId);
    return total;
  }

  /** What of a page may go; null when nothing of the model may, by now. */
  private async openAmong(
    model: string,
    retention: RetentionSetting,
    page: readonly ObjectId[],
    session: ClientSession,
  ): Promise<ObjectId[] | null> {
    if (await this.holds.find('model', model, session)) return null;
    if (!(await this.models.markRetained(model, retention, session))) return null;
    const ids = page.map((id) => id.toHexString());
    const held = await this.holds.heldAmong('prediction', ids, session);
    return page.filter((id) => !held.has(id.toHexString()));
  }

  private async removeAll(
    model: string,
    ids: readonly ObjectId[],
    session: ClientSession,
  ): Promise<Exclude<PageResult, 'stopped'>> {
    const { count, bytes, callerIds } = await this.predictions.removeAll(ids, session);
    const known = await this.predictions.callersAmong(model, callerIds, session);
    const feedback = await this.feedback.removeOf(
      ids.map((id) => id.toHexString()),
      // What was said under an id of a caller is about all predictions under it.
      { model, callerIds: callerIds.filter((callerId) => !known.has(callerId)) },
      session,
    );
    return { records: count, feedback, bytes };
  }
}
