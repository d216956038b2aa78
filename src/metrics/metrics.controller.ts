import { Controller, Get, Header, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import { type Response } from 'express';

import { Metrics } from './metrics';

/** For Prometheus; the second path is where boards of TensorFlow Serving scrape. */
@ApiTags('operations')
@Controller()
export class MetricsController {
  constructor(private readonly metrics: Metrics) {}

  @Get(['metrics', 'monitoring/prometheus/metrics'])
  @Header('Cache-Control', 'no-store')
  @ApiOperation({
    summary: 'Figures in the text format of Prometheus',
    description:
      'Requests, failures, and the seconds of queue, load, decode, infer and record; batches, memory, executors. The main ones also under the names of Triton and TensorFlow Serving.',
  })
  @ApiProduces('text/plain')
  @ApiOkResponse({ description: 'The figures', schema: { type: 'string' } })
  async get(@Res({ passthrough: true }) response: Response): Promise<string> {
    response.type(this.metrics.contentType);
    return await this.metrics.text();
  }
}
