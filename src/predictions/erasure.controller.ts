import { Controller, Delete, Param, Req } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request } from 'express';

import { readQuery, text } from '../http/query';
import { EraseInputDocs, ErasePredictionInputDocs } from './erasure.docs';
import { type ErasureAnswer, InputErasure } from './input-erasure.service';
import { parseInputDigest } from './input-digest';
import { parsePredictionId } from './prediction-id';

const PARAMETERS = { reason: text };

/** For those who may ask that what they sent be forgotten. */
@ApiTags('predictions')
@Controller('api')
export class ErasureController {
  constructor(private readonly erasure: InputErasure) {}

  @Delete('predictions/:id/input')
  @ErasePredictionInputDocs()
  async eraseOf(@Param('id') id: string, @Req() request: Request): Promise<ErasureAnswer> {
    const { reason } = readQuery(request, PARAMETERS);
    return await this.erasure.eraseOf(parsePredictionId(id), reason);
  }

  @Delete('inputs/:digest')
  @EraseInputDocs()
  async erase(@Param('digest') digest: string, @Req() request: Request): Promise<ErasureAnswer> {
    const { reason } = readQuery(request, PARAMETERS);
    return await this.erasure.erase(parseInputDigest(digest), reason);
  }
}
