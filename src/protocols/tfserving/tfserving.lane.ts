import { type IncomingMessage, type ServerResponse } from 'node:http';

import { Inject, Injectable } from '@nestjs/common';

import { ErrorFilter } from '../../http/error.filter';
import { type Lane } from '../../http/lane';
import { LOGGER, type Logger } from '../../http/logger';
import { giveRequestId } from '../../http/request-id';
import { Metrics } from '../../metrics/metrics';
import { DatabaseService } from '../../mongo/database.service';
import { parseTfAddress, type TfCall, type TfModelSpec } from './tf-address';
import { TfPredictions } from './tf-predictions.service';
import { tfWords } from './tf-status';
import { TfStatus } from './tf-status.service';
import { UnimplementedError } from './tfserving.errors';

const ADDRESS = /^\/v1\//i;

/** Clients compare it as it is. */
const TYPE = 'application/json';

/**
 * The REST API of TensorFlow Serving, and with it version 1 of KServe: everything under /v1/.
 *
 * Past the framework, whose router knows no such addresses: a colon before the verb, in upper or
 * lower case, and any other address under /v1/ an error of this protocol. Success is 200.
 */
@Injectable()
export class TfServingLane implements Lane {
  constructor(
    private readonly predictions: TfPredictions,
    private readonly statuses: TfStatus,
    private readonly database: DatabaseService,
    private readonly metrics: Metrics,
    private readonly errors: ErrorFilter,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  take(request: IncomingMessage, response: ServerResponse): boolean {
    const { url = '' } = request;
    if (!ADDRESS.test(url)) return false;
    const startMs = performance.now();
    // A turn later the body is mostly there, and to take it then costs less than to wait for it.
    setImmediate(() => {
      this.answer(url, request, response, startMs).catch((error: unknown) => {
        // Not even the refusal could be written: nobody further out would notice.
        this.logger.error({ err: error }, 'an answer could not be sent');
        response.destroy();
      });
    });
    return true;
  }

  private async answer(
    url: string,
    request: IncomingMessage,
    response: ServerResponse,
    startMs: number,
  ): Promise<void> {
    giveRequestId(request, response);
    const { method = '' } = request;
    let route = 'none';
    try {
      const call = parseTfAddress(method, url.split('?', 1)[0] ?? '');
      route = routeOf(call);
      this.database.assertPrepared();
      send(response, await this.bodyFor(call, request, response));
    } catch (error) {
      this.errors.refuse(error, request, response, tfWords);
    }
    // A client that went away was not served.
    if (!response.headersSent) return;
    this.metrics.served(method, route, response.statusCode, performance.now() - startMs);
  }

  private async bodyFor(
    call: TfCall,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<Buffer> {
    switch (call.kind) {
      case 'list':
        return toJson(await this.statuses.list());
      case 'status':
        return toJson(await this.statuses.status(call.spec));
      case 'metadata':
        return toJson(await this.statuses.metadata(call.spec));
      case 'explain':
        throw new UnimplementedError(`Model ${call.spec.name} has no explainer`);
      case 'predict':
      case 'classify':
      case 'regress':
        return await this.predictions.answer(call.kind, call.spec, request, response);
    }
  }
}

function toJson(body: unknown): Buffer {
  return Buffer.from(JSON.stringify(body));
}

function send(response: ServerResponse, body: Buffer): void {
  response.statusCode = 200;
  response.setHeader('Content-Type', TYPE);
  response.setHeader('Content-Length', body.length);
  response.end(body);
}

/** As figures name it: never by what a caller wrote. */
function routeOf(call: TfCall): string {
  switch (call.kind) {
    case 'list':
      return '/v1/models';
    case 'status':
      return `/v1/models/:model${versionOf(call.spec)}`;
    case 'metadata':
      return `/v1/models/:model${versionOf(call.spec)}/metadata`;
    case 'explain':
    case 'predict':
    case 'classify':
    case 'regress':
      return `/v1/models/:model${versionOf(call.spec)}:${call.kind}`;
  }
}

function versionOf({ version, label }: TfModelSpec): string {
  if (version !== undefined) return '/versions/:version';
  return label === undefined ? '' : '/labels/:label';
}
