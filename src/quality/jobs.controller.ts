import { Controller, Get, HttpCode, Param, Post, Req } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request } from 'express';

import { BadSyntaxError } from '../common/errors';
import { canonicalJson } from '../common/canonical-json';
import { isModelName } from '../common/model-ref';
import { decodeCursor, type Page, toPage } from '../common/page';
import { limitOf, oneOf, PAGE_PARAMETERS, readQuery, textThat } from '../http/query';
import { type JobAnswer, toJobAnswer } from './job.answer';
import { JOB_STATES, type JobDoc } from './job.doc';
import { CancelJobDocs, GetJobDocs, ListJobsDocs } from './quality.docs';
import { JobsRepository } from './jobs.repository';
import { JobEndedError, JobNotFoundError } from './quality.errors';

const FILTERS = {
  model: textThat(isModelName, 'a model name'),
  state: oneOf(JOB_STATES),
  ...PAGE_PARAMETERS,
};

const ID = /^[0-9a-f]{24}$/i;

/** Work that goes on behind a request. */
@ApiTags('jobs')
@Controller('api/jobs')
export class JobsController {
  constructor(private readonly jobs: JobsRepository) {}

  @Get()
  @ListJobsDocs()
  async list(@Req() request: Request): Promise<Page<JobAnswer>> {
    const query = readQuery(request, FILTERS);
    const { cursor, model, state } = query;
    const filter = { ...(model === undefined ? {} : { model }), ...(state ? { state } : {}) };
    const limit = limitOf(query);
    const scope = `jobs ${canonicalJson(filter)}`;
    const docs = await this.jobs.list(filter, {
      limit: limit + 1,
      ...(cursor === undefined ? {} : { before: String(decodeCursor(cursor, scope)[0]) }),
    });
    return toPage(docs, limit, scope, ({ _id }) => [_id.toHexString()], toJobAnswer);
  }

  @Get(':id')
  @GetJobDocs()
  async get(@Param('id') id: string, @Req() request: Request): Promise<JobAnswer> {
    readQuery(request, {});
    return toJobAnswer(await this.find(id));
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @CancelJobDocs()
  async cancel(@Param('id') id: string): Promise<JobAnswer> {
    const { state } = await this.find(id);
    if (!(await this.jobs.cancel(id))) {
      throw new JobEndedError(`Job ${id} is ${state}; there is nothing to cancel`, {
        jobId: id,
        state,
      });
    }
    return toJobAnswer(await this.find(id));
  }

  /** @throws JobNotFoundError, BadSyntaxError */
  private async find(id: string): Promise<JobDoc> {
    if (!ID.test(id)) throw new BadSyntaxError('An id of a job has 24 hexadecimal digits');
    const job = await this.jobs.find(id);
    if (job) return job;
    throw new JobNotFoundError(`There is no job ${id}`, { jobId: id });
  }
}
