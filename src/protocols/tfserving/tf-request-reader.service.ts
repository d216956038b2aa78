import { Inject, Injectable } from '@nestjs/common';

import { entryPath } from '../../common/entry-path';
import { type Config } from '../../config/config';
import { CONFIG } from '../../config/config.tokens';
import { BodyReader } from '../../predictions/body-reader';
import { readTfRequest, type TfContext, type TfRequest } from './tf-request';

/** Reads the bodies of predict, classify and regress. */
@Injectable()
export class TfRequestReader extends BodyReader<TfContext, TfRequest> {
  constructor(@Inject(CONFIG) { maxBodyBytes }: Pick<Config, 'maxBodyBytes'>) {
    super(readTfRequest, entryPath(__dirname, 'read-tf-request.entry'), maxBodyBytes);
  }
}
