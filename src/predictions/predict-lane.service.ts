import { type IncomingMessage, type ServerResponse } from 'node:http';
import { parse } from 'node:querystring';

import { Inject, Injectable } from '@nestjs/common';

import { type ModelRef, parseModelName, parseModelRef, parseVersion } from '../common/model-ref';
import { ErrorFilter } from '../http/error.filter';
import { type Lane } from '../http/lane';
import { LOGGER, type Logger } from '../http/logger';
import { giveRequestId } from '../http/request-id';
import { sendJson } from '../http/send-json';
import { Metrics } from '../metrics/metrics';
import { DatabaseService } from '../mongo/database.service';
import { PredictAnswers } from './predict-answers.service';
import { readRawTensorQuery } from './raw-tensor';

/** The addresses as most write them: `/api/models/<ref>[/versions/<version>]/predict[?<query>]`. */
const ADDRESS = /^\/api\/models\/([\w.@-]+)(?:\/versions\/(\w+))?\/predict(?:\?([^#]*))?$/;

/** A request that goes the short way. */
interface Taken {
  /** As the controller declares it. */
  readonly route: string;
  readonly ref: () => ModelRef;
  readonly query: string;
}

/**
 * The short way of a prediction: from the HTTP server to its answer, past the framework.
 *
 * The framework gives every request and response another prototype, which makes each later use of
 * them slow, and takes it through its router, middleware and interceptors: more than all else that
 * a prediction by a small model costs this process. So predictions go straight to what the
 * controller calls, too. What is rare takes the long way: idempotency keys, expectations, addresses
 * with escapes. What comes out is the same: status, headers, errors, metrics.
 */
@Injectable()
export class PredictLane implements Lane {
  constructor(
    private readonly answers: PredictAnswers,
    private readonly database: DatabaseService,
    private readonly metrics: Metrics,
    private readonly errors: ErrorFilter,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  take(request: IncomingMessage, response: ServerResponse): boolean {
    const taken = understand(request);
    if (!taken) return false;
    const startMs = performance.now();
    // The parser tells of a request before it has read the body that came in the same piece. A turn
    // later that is there, and to take it costs a fraction of waiting for it.
    setImmediate(() => {
      this.answer(taken, request, response, startMs).catch((error: unknown) => {
        // Not even the refusal could be written: nobody further out would notice.
        this.logger.error({ err: error }, 'an answer could not be sent');
        response.destroy();
      });
    });
    return true;
  }

  private async answer(
    { route, ref, query }: Taken,
    request: IncomingMessage,
    response: ServerResponse,
    startMs: number,
  ): Promise<void> {
    giveRequestId(request, response);
    try {
      this.database.assertPrepared();
      const call = { ref: ref(), request, response, query: readQueryText(request, query) };
      sendJson(response, 200, await this.answers.answer(call));
    } catch (error) {
      this.errors.refuse(error, request, response);
    }
    // A client that went away was not served.
    if (!response.headersSent) return;
    this.metrics.served('POST', route, response.statusCode, performance.now() - startMs);
  }
}

function understand({ method, headers, url = '' }: IncomingMessage): Taken | null {
  if (method !== 'POST') return null;
  if (headers['idempotency-key'] !== undefined || headers.expect !== undefined) return null;
  const match = ADDRESS.exec(url);
  if (!match) return null;
  const [, name = '', version, query = ''] = match;
  return version === undefined
    ? { route: '/api/models/:ref/predict', ref: () => parseModelRef(name), query }
    : {
        route: '/api/models/:model/versions/:version/predict',
        ref: () => ({ model: parseModelName(name), version: parseVersion(version) }),
        query,
      };
}

/** As the router reads queries: plain pairs. */
function readQueryText(
  request: IncomingMessage,
  query: string,
): ReturnType<typeof readRawTensorQuery> {
  return readRawTensorQuery(request, query === '' ? {} : parse(query));
}
