import { All, Controller, Get, Req, UseFilters } from '@nestjs/common';
import { ApiExcludeEndpoint, ApiTags } from '@nestjs/swagger';
import { type Request } from 'express';

import { MlflowErrorFilter } from './mlflow-error.filter';
import { describeMlflow } from './mlflow.docs';
import { EndpointNotFoundError } from './mlflow.errors';

/** What this server is able to do, and the words for all that it is not; registered last. */
@ApiTags('mlflow')
@Controller()
@UseFilters(MlflowErrorFilter)
export class UnknownEndpointsController {
  @Get('api/3.0/mlflow/server-info')
  @describeMlflow('What this server is able to do', [])
  serverInfo(): { readonly workspaces_enabled: false } {
    return { workspaces_enabled: false };
  }

  @All(['api/2.0/mlflow/*path', 'api/2.0/mlflow-artifacts/*path', 'api/3.0/mlflow/*path'])
  @ApiExcludeEndpoint()
  refuse(@Req() { method, path }: Request): never {
    throw new EndpointNotFoundError(
      `There is no ${method} ${path}: of the MLflow API this store has the model registry and the artifacts, not experiments and runs`,
    );
  }
}
