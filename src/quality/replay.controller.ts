import { Controller, HttpCode, Param, Post, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Response } from 'express';

import { parseModelName } from '../common/model-ref';
import { DtoPipe } from '../http/dto.pipe';
import { JsonBody } from '../http/json-body';
import { type JobAnswer, toJobAnswer } from './job.answer';
import { ReplayDocs } from './quality.docs';
import { ReplayDto, toReplayParams } from './replay.dto';
import { ReplayService } from './replay.service';

@ApiTags('quality')
@Controller('api/models/:model')
export class ReplayController {
  constructor(private readonly replays: ReplayService) {}

  @Post('replay')
  @HttpCode(202)
  @ReplayDocs()
  async replay(
    @Param('model') model: string,
    @JsonBody(new DtoPipe(ReplayDto)) body: ReplayDto,
    @Res({ passthrough: true }) response: Response,
  ): Promise<JobAnswer> {
    const job = await this.replays.start(parseModelName(model), toReplayParams(body));
    response.setHeader('Location', `/api/jobs/${job._id.toHexString()}`);
    return toJobAnswer(job);
  }
}
