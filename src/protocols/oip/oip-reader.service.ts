import { Inject, Injectable } from '@nestjs/common';

import { entryPath } from '../../common/entry-path';
import { type Config } from '../../config/config';
import { CONFIG } from '../../config/config.tokens';
import { BodyReader, INLINE_BODY_BYTES } from '../../predictions/body-reader';
import {
  openBody,
  type OipContext,
  type OipRequest,
  readOip,
  readOpened,
  storing,
  takesWork,
} from './read-oip';

/**
 * Reads bodies of the Open Inference Protocol. Bytes that are what the model takes are never handed
 * to a thread, however many they are: the tensors are views of the body.
 */
@Injectable()
export class OipReader extends BodyReader<OipContext, OipRequest> {
  constructor(@Inject(CONFIG) { maxBodyBytes }: Pick<Config, 'maxBodyBytes'>) {
    super(readOip, entryPath(__dirname, 'read-oip.entry'), maxBodyBytes);
  }

  override async read(body: Buffer, context: OipContext): Promise<OipRequest> {
    const { signature, jsonBytes } = context;
    if (jsonBytes === null || jsonBytes > INLINE_BODY_BYTES) return await super.read(body, context);
    const opened = openBody(body, context);
    if (takesWork(opened, signature)) return await super.read(body, context);
    const asked = readOpened(opened, signature);
    return { ...asked, ...storing(asked.inputs, opened.binary) };
  }
}
