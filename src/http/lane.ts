import { type IncomingMessage, type ServerResponse } from 'node:http';

/** A way from the HTTP server to an answer, past the framework. */
export interface Lane {
  /** Answers the request if it goes this way. @returns whether it does */
  take(request: IncomingMessage, response: ServerResponse): boolean;
}
