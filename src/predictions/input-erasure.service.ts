import { Injectable } from '@nestjs/common';

import { HoldsRepository } from '../models/holds.repository';
import { AuditRepository } from './audit.repository';
import { InputsStore } from './inputs.store';
import { PredictionNotFoundError } from './predictions.errors';
import { PredictionsRepository } from './predictions.repository';
import { RecordHolds } from './record-holds.service';

/** What was erased, as its entry in the audit says. */
export interface ErasureAnswer {
  readonly auditId: string;
  readonly digest: string;
  /** Predictions that were made from it. */
  readonly predictions: number;
  readonly reason?: string;
  readonly at: string;
  readonly doneAt: string;
}

/**
 * Takes the bytes of an input away, for all predictions that were made from it.
 *
 * The entry in the audit and the end of the input are one transaction: without an entry nothing
 * goes. The records stay, with the digest of what they were made from, so counts and proofs hold,
 * and they say that their input was erased. The same input sent again is a new one and is stored
 * again, and its earlier records show it again; another replica that stored it within the last
 * minute may take it for stored that long.
 */
@Injectable()
export class InputErasure {
  constructor(
    private readonly gate: HoldsRepository,
    private readonly holds: RecordHolds,
    private readonly predictions: PredictionsRepository,
    private readonly inputs: InputsStore,
    private readonly audit: AuditRepository,
  ) {}

  /** @throws PredictionNotFoundError, InputMissingError, HeldError */
  async eraseOf(predictionId: string, reason?: string): Promise<ErasureAnswer> {
    const input = await this.predictions.findInputSummary(predictionId);
    if (!input) {
      throw new PredictionNotFoundError(`There is no prediction ${predictionId}`, { predictionId });
    }
    return await this.erase(input.digest, reason, predictionId);
  }

  /**
   * Of an input that was erased before, finishes what was left to do and tells of the first time.
   *
   * @throws InputMissingError, HeldError
   */
  async erase(digest: string, reason?: string, predictionId?: string): Promise<ErasureAnswer> {
    const said = { at: new Date(), ...(reason === undefined ? {} : { reason }) };
    const input = await this.gate.exclusively(async (session) => {
      await this.holds.assertErasable(digest, session);
      const _id = this.audit.newId();
      const erasing = await this.inputs.erase(digest, { ...said, auditId: _id }, session);
      // One that was erased before has its entry.
      if (erasing.erased.auditId.equals(_id)) {
        const by = predictionId === undefined ? {} : { predictionId };
        await this.audit.begin({ _id, action: 'input_erased', digest, ...by, ...said }, session);
      }
      return erasing;
    });
    await this.inputs.freeErased(input);
    const { _id, at, doneAt = at, reason: given } = await this.audit.complete(input.erased.auditId);
    return {
      auditId: _id.toHexString(),
      digest,
      predictions: await this.predictions.countMadeFrom(digest),
      ...(given === undefined ? {} : { reason: given }),
      at: at.toISOString(),
      doneAt: doneAt.toISOString(),
    };
  }
}
