import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { readQuery } from '../http/query';
import { type PredictionProof } from './prediction-proof';
import { PredictionProofs } from './prediction-proofs.service';
import { parsePredictionId } from './prediction-id';
import { GetOutputsDocs, GetProofDocs } from './proofs.docs';

/** For checking records without trusting the store that kept them. */
@ApiTags('predictions')
@Controller('api/predictions')
export class ProofsController {
  constructor(private readonly proofs: PredictionProofs) {}

  @Get(':id/proof')
  @GetProofDocs()
  async get(@Param('id') id: string, @Req() request: Request): Promise<PredictionProof> {
    readQuery(request, {});
    return await this.proofs.get(parsePredictionId(id));
  }

  @Get(':id/outputs')
  @GetOutputsDocs()
  async getOutputs(
    @Param('id') id: string,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    readQuery(request, {});
    const predictionId = parsePredictionId(id);
    const content = await this.proofs.readOutputs(predictionId);
    response.setHeader('Content-Type', 'application/octet-stream');
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader(
      'Content-Disposition',
      `attachment; filename="${predictionId}-outputs.safetensors"`,
    );
    response.end(content);
  }
}
