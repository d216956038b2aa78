import { Inject, Injectable } from '@nestjs/common';

import { entryPath } from '../common/entry-path';
import { type Signature } from '../common/tensor';
import { type Config } from '../config/config';
import { CONFIG } from '../config/config.tokens';
import { BodyReader } from './body-reader';
import { type PredictRequest } from './predict-request';
import { readRequest } from './read-request';

/** Reads the bodies of native predictions. */
@Injectable()
export class RequestReader extends BodyReader<Signature, PredictRequest> {
  constructor(@Inject(CONFIG) { maxBodyBytes }: Pick<Config, 'maxBodyBytes'>) {
    super(readRequest, entryPath(__dirname, 'read-request.entry'), maxBodyBytes);
  }
}
