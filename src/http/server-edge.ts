import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import { type Duplex } from 'node:stream';

import { type ErrorBody } from './error.filter';
import { JSON_TYPE, sendJson } from './send-json';

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly error: string;
}

/** What Node's parser says of a request that never became one, by its error code. */
const REFUSALS: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    code: 'headers_too_large',
    error: 'The headers of the request are larger than this server takes',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    code: 'request_timeout',
    error: 'The request did not arrive in time',
  },
};

const UNREADABLE: Refusal = {
  status: 400,
  code: 'bad_request',
  error: 'The request is not valid HTTP/1.1',
};

/** How long a connection that was hung up on is left to its client, to read why. */
const LINGER_MS = 1000;

/** A connection as Node's server has it: with the answer that goes out next, if one is to come. */
interface Connection extends Duplex {
  readonly _httpMessage?: ServerResponse | null;
}

/**
 * Answers what never reaches a route: broken HTTP, unknown expectations, bodies not yet sent.
 *
 * The errors have the one shape of all others. What is broken behind good requests is answered
 * behind them. A client that waits for `100 Continue` is told to go on only when somebody reads its
 * body, so a refusal by length costs it no upload.
 */
export function guardServer(server: Server): void {
  // The parser fails again with each piece that follows.
  const refused = new WeakSet<Connection>();
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Connection) => {
    if (!socket.writable || error.code === 'ECONNRESET') {
      if (!refused.has(socket)) socket.destroy();
      return;
    }
    if (refused.has(socket)) return;
    refused.add(socket);
    refuse(socket, error);
  });

  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    const whenRead = (event: string): void => {
      if (event !== 'data' && event !== 'readable') return;
      request.off('newListener', whenRead);
      if (!response.headersSent) response.writeContinue();
    };
    request.on('newListener', whenRead);
    server.emit('request', request, response);
  });

  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    const requestId = randomUUID();
    const expectation = String(request.headers.expect).slice(0, 120);
    const body: ErrorBody = {
      error: 'The only expectation that this server meets is 100-continue',
      code: 'expectation_failed',
      details: { expectation },
      requestId,
    };
    response.setHeader('X-Request-Id', requestId);
    response.setHeader('Connection', 'close');
    sendJson(response, 417, body);
  });
}

function refuse(socket: Connection, error: NodeJS.ErrnoException): void {
  const answer = socket._httpMessage;
  if (!answer) {
    hangUp(socket, refusalOf(error));
    return;
  }
  if (answer.req.complete) {
    // It is a later request that is broken: this one gets its answer first, as does the next.
    answer.once('close', () => {
      setImmediate(refuse, socket, error);
    });
    return;
  }
  if (answer.headersSent) socket.destroy();
  else hangUp(socket, refusalOf(error));
}

/** A client that does not hang up as well must not keep the connection. */
function hangUp(socket: Connection, lastWords: string): void {
  if (!socket.writable) return;
  socket.end(lastWords);
  const late = setTimeout(() => {
    socket.destroy();
  }, LINGER_MS);
  socket.once('close', () => {
    clearTimeout(late);
  });
}

function refusalOf({ code = '' }: NodeJS.ErrnoException): string {
  const { status, ...refusal } = REFUSALS[code] ?? UNREADABLE;
  const requestId = randomUUID();
  const body = JSON.stringify({ ...refusal, details: {}, requestId } satisfies ErrorBody);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Connection: close',
    `Content-Type: ${JSON_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
