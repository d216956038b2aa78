import { Injectable } from '@nestjs/common';
import { type ClientSession } from 'mongodb';

import { type HoldDoc, type HoldKind, HoldsRepository } from '../models/holds.repository';
import { HeldError, HoldNotFoundError } from '../models/models.errors';
import { ModelsRepository } from '../models/models.repository';
import { InputsStore } from './inputs.store';
import { PredictionNotFoundError } from './predictions.errors';
import { PredictionsRepository } from './predictions.repository';

/**
 * Holds models, predictions and inputs, so that nobody takes them away.
 *
 * A hold covers what belongs to its target: of a model all records with their inputs, of a
 * prediction its input. What is answered for stays from then on until the hold is taken away.
 */
@Injectable()
export class RecordHolds {
  constructor(
    private readonly holds: HoldsRepository,
    private readonly models: ModelsRepository,
    private readonly predictions: PredictionsRepository,
    private readonly inputs: InputsStore,
  ) {}

  /** @throws ModelNotFoundError, PredictionNotFoundError, InputMissingError, InputErasedError */
  async put(kind: HoldKind, target: string, reason: string): Promise<HoldDoc> {
    return await this.holds.exclusively(async (session) => {
      const covered = await this.find(kind, target, session);
      const hold = { kind, target, reason, heldAt: new Date(), ...covered };
      return await this.holds.put(hold, session);
    });
  }

  /** @throws HoldNotFoundError */
  async remove(kind: HoldKind, target: string): Promise<void> {
    if (await this.holds.remove(kind, target)) return;
    throw new HoldNotFoundError('Nobody holds this by itself', { kind, target });
  }

  /** In the transaction of somebody who is about to erase an input. @throws HeldError */
  async assertErasable(digest: string, session: ClientSession): Promise<void> {
    const hold = await this.holds.find('input', digest, session);
    if (hold) throw new HeldError('This input', hold);
    const ofPrediction = await this.holds.findByInput(digest, session);
    if (ofPrediction) throw new HeldError('A prediction that was made from it', ofPrediction);
    const models = await this.holds.listOf('model', session);
    const names = models.map(({ target }) => target);
    const user = await this.predictions.findModelAmong(digest, names, session);
    const ofModel = models.find(({ target }) => target === user);
    if (ofModel) throw new HeldError('A model that it was sent to', ofModel);
  }

  /** Sees to it that the target is there, and says what is covered with it. */
  private async find(
    kind: HoldKind,
    target: string,
    session: ClientSession,
  ): Promise<Pick<HoldDoc, 'inputDigest'>> {
    switch (kind) {
      case 'model':
        await this.models.assertExists(target);
        return {};
      case 'input':
        await this.inputs.assertStored(target, session);
        return {};
      case 'prediction': {
        const input = await this.predictions.findInputSummary(target, session);
        if (input) return { inputDigest: input.digest };
        throw new PredictionNotFoundError(`There is no prediction ${target}`, {
          predictionId: target,
        });
      }
    }
  }
}
