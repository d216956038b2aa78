import { type Db } from 'mongodb';

import { HoldsRepository } from '../models/holds.repository';
import { LeadersRepository } from '../models/leaders.repository';
import { ModelsRepository } from '../models/models.repository';
import { Schema } from '../mongo/schema';
import { AuditRepository } from './audit.repository';
import { FeedbackRepository } from './feedback.repository';
import { InputFreeing } from './input-freeing.service';
import { InputsStore } from './inputs.store';
import { PredictionsRepository } from './predictions.repository';
import { RecordingCounts } from './recording-counts';
import { Retention } from './retention.service';

/** Retention without the service: for scripts, beside running services or instead. */
export async function openRetention(db: Db): Promise<Retention> {
  const schema = new Schema();
  const holds = new HoldsRepository(db, schema);
  const inputs = new InputsStore(db, schema);
  const audit = new AuditRepository(db, schema);
  const retention = new Retention(
    new LeadersRepository(db, schema),
    new ModelsRepository(db, schema),
    holds,
    new PredictionsRepository(db, schema),
    new FeedbackRepository(db, schema),
    inputs,
    new InputFreeing(inputs, holds, audit),
    audit,
    new RecordingCounts(),
  );
  // Transactions make no collections here, and without its indexes each look would read everything.
  await schema.apply(db);
  return retention;
}
