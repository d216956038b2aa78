import { Controller, Get, Param, Req } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request } from 'express';

import { isModelName, parseModelName } from '../common/model-ref';
import { BadCursorError, decodeCursor, type Page, toPage } from '../common/page';
import { limitOf, oneOf, PAGE_PARAMETERS, readQuery, textThat } from '../http/query';
import { HoldsRepository } from '../models/holds.repository';
import { type RetentionSetting } from '../models/model.doc';
import { ModelsRepository } from '../models/models.repository';
import {
  AUDIT_ACTIONS,
  type AuditDoc,
  AuditRepository,
  type RemovedCounts,
} from './audit.repository';
import { type HoldAnswer, toHoldAnswer } from './hold.dto';
import { isInputDigest } from './input-digest';
import { isPredictionId } from './prediction-id';
import { PredictionsRepository } from './predictions.repository';
import { ListAuditDocs, RetentionDocs } from './retention.docs';
import { Retention } from './retention.service';

const AUDIT_PARAMETERS = {
  ...PAGE_PARAMETERS,
  action: oneOf(AUDIT_ACTIONS),
  model: textThat(isModelName, 'a model name'),
  digest: textThat(isInputDigest, 'a digest'),
};

/** How long the records of a model are kept, and what became of them. */
export interface RetentionAnswer {
  readonly model: string;
  readonly retention: RetentionSetting | null;
  readonly hold: HoldAnswer | null;
  readonly records: {
    /** Ever recorded or imported, and so the sum of the two below. */
    readonly recorded: number;
    readonly stored: number;
    readonly removed: number;
    /** Of the stored ones, how many exceed the limits now. */
    readonly due: number;
  };
  readonly removed: Omit<RemovedCounts, 'inputs'>;
  readonly lastRemovedAt: string | null;
}

/** An entry of the audit as the API shows it. */
export type AuditAnswer = Omit<AuditDoc, '_id' | 'at' | 'doneAt'> & {
  readonly auditId: string;
  readonly at: string;
  readonly doneAt: string | null;
};

@ApiTags('retention')
@Controller('api')
export class RetentionController {
  constructor(
    private readonly models: ModelsRepository,
    private readonly holds: HoldsRepository,
    private readonly predictions: PredictionsRepository,
    private readonly audit: AuditRepository,
    private readonly retention: Retention,
  ) {}

  @Get('models/:model/retention')
  @RetentionDocs()
  async get(@Param('model') given: string, @Req() request: Request): Promise<RetentionAnswer> {
    readQuery(request, {});
    const model = parseModelName(given);
    const { retention, retainedAt } = await this.models.getSummary(model);
    const hold = await this.holds.find('model', model);
    const stored = await this.predictions.countStored(model);
    const removed = await this.audit.sumRemoved(model);
    return {
      model,
      retention: retention ?? null,
      hold: hold && toHoldAnswer(hold),
      records: {
        recorded: stored + removed.records,
        stored,
        removed: removed.records,
        due: retention ? await this.retention.countDue(model, retention) : 0,
      },
      removed,
      lastRemovedAt: retainedAt?.toISOString() ?? null,
    };
  }

  @Get('audit')
  @ListAuditDocs()
  async list(@Req() request: Request): Promise<Page<AuditAnswer>> {
    const { limit: asked, cursor, ...filter } = readQuery(request, AUDIT_PARAMETERS);
    const limit = limitOf(asked === undefined ? {} : { limit: asked });
    const scope = `audit ${JSON.stringify(filter)}`;
    const [before] = cursor === undefined ? [] : decodeCursor(cursor, scope);
    if (before !== undefined && !isPredictionId(String(before))) {
      throw new BadCursorError('The cursor is not one that this list gave out');
    }
    const docs = await this.audit.list(
      filter,
      limit + 1,
      before === undefined ? undefined : String(before),
    );
    return toPage(docs, limit, scope, ({ _id }) => [_id.toHexString()], toAuditAnswer);
  }
}

function toAuditAnswer({ _id, at, doneAt, ...entry }: AuditDoc): AuditAnswer {
  return {
    auditId: _id.toHexString(),
    ...entry,
    at: at.toISOString(),
    doneAt: doneAt?.toISOString() ?? null,
  };
}
