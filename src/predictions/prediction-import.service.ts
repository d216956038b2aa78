import { Injectable } from '@nestjs/common';
import { type Request } from 'express';

import { HoldsRepository } from '../models/holds.repository';
import { type AuditDoc, AuditRepository } from './audit.repository';
import { FeedbackRepository } from './feedback.repository';
import { type ErasedInput, InputsStore } from './inputs.store';
import { type LineCount, takeLines } from './ndjson-intake';
import { type ImportedRecord, parseRecordLine } from './parse-record-line';
import { USUAL } from './prediction-form';
import { PredictionsRepository } from './predictions.repository';

const LIMITS = {
  maxLineBytes: 32 * 1024 * 1024,
  groupLines: 500,
  groupBytes: 8 * 1024 * 1024,
};

/** What became of the lines of an import. */
export interface ImportCount extends LineCount {
  /** Accepted records that came without the bytes of their input. */
  readonly withoutInput: number;
}

/**
 * Takes records back that an export gave out, of this store or another.
 *
 * They keep their ids, so a record that is there stays as it is, and the same lines can be sent
 * again. They say that they were imported: nobody here saw the prediction.
 */
@Injectable()
export class PredictionImport {
  constructor(
    private readonly predictions: PredictionsRepository,
    private readonly inputs: InputsStore,
    private readonly feedback: FeedbackRepository,
    private readonly holds: HoldsRepository,
    private readonly audit: AuditRepository,
  ) {}

  async take(request: Request): Promise<ImportCount> {
    let withoutInput = 0;
    const count = await takeLines(request, LIMITS, parseRecordLine, async (records) => {
      withoutInput += records.filter(({ content }) => content === null).length;
      await this.store(records);
    });
    return { ...count, withoutInput };
  }

  private async store(imported: readonly ImportedRecord[]): Promise<void> {
    const importedAt = new Date();
    const inputs = imported.flatMap(({ record: { input }, content }) => {
      const { contentType = USUAL.contentType } = input;
      return content ? [{ ...input, contentType, bytes: content.length, content }] : [];
    });
    for (const cause of (await this.inputs.saveAll(inputs)).values()) throw cause;
    const records = imported.map(({ record }) => ({ ...record, importedAt }));
    for (const outcome of await this.predictions.insertAll(records)) {
      if (outcome.kind === 'failed') throw outcome.cause;
    }
    await this.noteErased(imported, importedAt);
    await this.feedback.giveAll(
      imported.flatMap(({ record, truth }) =>
        truth ? [{ target: { predictionId: record.id }, truth }] : [],
      ),
    );
  }

  /** An input that was erased elsewhere and is not here is erased here as well, which the audit says. */
  private async noteErased(imported: readonly ImportedRecord[], at: Date): Promise<void> {
    const inputs = new Map<string, ErasedInput>();
    for (const { record, content, erased } of imported) {
      const { digest, kind, bytes, contentType = USUAL.contentType } = record.input;
      if (!erased || content) continue;
      const note = { ...erased, auditId: this.audit.newId() };
      inputs.set(digest, { digest, kind, bytes, contentType, erased: note });
    }
    if (inputs.size === 0) return;
    await this.holds.exclusively(async (session) => {
      const noted = await this.inputs.noteErased([...inputs.values()], session);
      const entries = noted.map(({ digest, erased: { auditId, reason } }): AuditDoc => {
        const why = reason === undefined ? {} : { reason };
        return { _id: auditId, action: 'erasure_imported', digest, ...why, at, doneAt: at };
      });
      if (entries.length > 0) await this.audit.addAll(entries, session);
    });
  }
}
