import { Controller, Get, Res } from '@nestjs/common';
import {
  ApiOkResponse,
  ApiOperation,
  ApiServiceUnavailableResponse,
  ApiTags,
} from '@nestjs/swagger';
import { type Response } from 'express';

import { Readiness } from '../runtime/readiness.service';

/** Shape of the readiness answer, for the API's description. */
const READINESS = {
  type: 'object',
  required: ['status', 'reasons', 'database', 'engine'],
  properties: {
    status: { enum: ['ready', 'not_ready'] },
    reasons: { type: 'array', items: { type: 'string' } },
    database: { type: 'object', properties: { ok: { type: 'boolean' } } },
    engine: {
      type: 'object',
      properties: { name: { type: 'string' }, why: { type: 'string' } },
    },
  },
};

/** For whoever keeps the process alive and sends it traffic. */
@ApiTags('operations')
@Controller('health')
export class HealthController {
  constructor(private readonly readiness: Readiness) {}

  /** Says only that the event loop turns: a restart mends nothing that lies elsewhere. */
  @Get('live')
  @ApiOperation({ summary: 'Whether the process is alive' })
  @ApiOkResponse({
    description: 'It is',
    schema: { type: 'object', required: ['status'], properties: { status: { enum: ['live'] } } },
  })
  live(): { status: 'live' } {
    return { status: 'live' };
  }

  @Get('ready')
  @ApiOperation({ summary: 'Whether requests can be served, and by which engine' })
  @ApiOkResponse({
    description: 'The database takes writes, an executor is up, live versions are loaded',
    schema: READINESS,
  })
  @ApiServiceUnavailableResponse({ description: 'Not now; `reasons` says why' })
  async ready(@Res({ passthrough: true }) response: Response): Promise<object> {
    const { reasons, database, engine } = await this.readiness.state();
    const ready = reasons.length === 0;
    if (!ready) response.status(503).setHeader('Retry-After', 1);
    return {
      status: ready ? 'ready' : 'not_ready',
      reasons,
      database: { ok: database.ok },
      engine: { name: engine.name, why: engine.why },
    };
  }
}
