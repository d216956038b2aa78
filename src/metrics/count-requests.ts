import { performance } from 'node:perf_hooks';

import { type NextFunction, type Request, type Response } from 'express';

import { type Metrics } from './metrics';

type Middleware = (request: Request, response: Response, next: NextFunction) => void;

/** Counts answered requests by their route as it is declared, never by the path that was sent. */
export function countRequests(metrics: Metrics): Middleware {
  return (request, response, next) => {
    const startMs = performance.now();
    response.once('finish', () => {
      const { path } = (request.route ?? {}) as { path?: unknown };
      const route = typeof path === 'string' ? path : 'none';
      metrics.served(request.method, route, response.statusCode, performance.now() - startMs);
    });
    next();
  };
}
