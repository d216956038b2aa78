import { Injectable } from '@nestjs/common';

import { manifestOf } from '../models/version.doc';
import { VersionNotFoundError } from '../models/models.errors';
import { VersionsRepository } from '../models/versions.repository';
import { outputsOf, type PredictionProof, proofOf } from './prediction-proof';
import { OutputsMissingError, PredictionNotFoundError } from './predictions.errors';
import { type JoinedPrediction, PredictionsRepository } from './predictions.repository';
import { encodeTensorFile } from './tensor-file';

/** Gives out what a record can be checked against without the store. */
@Injectable()
export class PredictionProofs {
  constructor(
    private readonly predictions: PredictionsRepository,
    private readonly versions: VersionsRepository,
  ) {}

  /** @throws PredictionNotFoundError, VersionNotFoundError */
  async get(id: string): Promise<PredictionProof> {
    const { prediction, input } = await this.find(id);
    const { model, version } = prediction;
    // Also of a deleted version, whose document stays as a tombstone.
    const doc = await this.versions.find(model, version);
    if (doc) return proofOf(prediction, manifestOf(doc), input?.erased);
    throw new VersionNotFoundError(`The document of version ${version} of ${model} is gone`, {
      model,
      version,
    });
  }

  /**
   * The outputs as the tensor file that a proof has the digest of.
   *
   * @throws PredictionNotFoundError; OutputsMissingError for a prediction that failed
   */
  async readOutputs(id: string): Promise<Buffer> {
    const outputs = outputsOf((await this.find(id)).prediction);
    if (outputs) return encodeTensorFile(outputs);
    throw new OutputsMissingError('This prediction failed and has no outputs', {
      predictionId: id,
    });
  }

  private async find(predictionId: string): Promise<JoinedPrediction> {
    const found = await this.predictions.findJoined(predictionId);
    if (found) return found;
    throw new PredictionNotFoundError(`There is no prediction ${predictionId}`, { predictionId });
  }
}
