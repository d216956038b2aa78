import { Inject, Injectable } from '@nestjs/common';

import { entryPath } from '../../common/entry-path';
import { type Signature } from '../../common/tensor';
import { type Config } from '../../config/config';
import { CONFIG } from '../../config/config.tokens';
import { BodyReader } from '../../predictions/body-reader';
import { readScoring, type ScoringRequest } from './read-scoring';

/** Reads the bodies of the MLflow scorer. */
@Injectable()
export class ScoringReader extends BodyReader<Signature, ScoringRequest> {
  constructor(@Inject(CONFIG) { maxBodyBytes }: Pick<Config, 'maxBodyBytes'>) {
    super(readScoring, entryPath(__dirname, 'read-scoring.entry'), maxBodyBytes);
  }
}
