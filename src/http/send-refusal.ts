import { type IncomingMessage, type ServerResponse } from 'node:http';
import { finished } from 'node:stream';

import { sendJson, startJson } from './send-json';

/** What is still read of a body that nobody wants, so that its sender gets to hear why. */
const MAX_REST_BYTES = 1024 * 1024;
const MAX_REST_MS = 1000;

/**
 * Answers with JSON, also while the body of the request is still being sent.
 *
 * Closing a connection with unread bytes resets it, and the sender may never see the answer. So
 * the answer goes out at once and the end of it waits for the rest of the body, for a bounded time
 * and a bounded number of bytes; then the connection closes.
 */
export function sendRefusal(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: object,
): void {
  if (!request.complete) response.setHeader('Connection', 'close');
  if (request.complete || isHeldBack(request)) {
    sendJson(response, status, body);
    return;
  }
  response.write(startJson(response, status, body));
  passOver(request, () => {
    response.end();
  });
}

/** Whether the sender waits to be told to go on, which nobody has done. */
function isHeldBack(request: IncomingMessage): boolean {
  return request.headers.expect !== undefined && request.readableFlowing === null;
}

function passOver(request: IncomingMessage, then: () => void): void {
  let bytes = 0;
  const count = (piece: Buffer): void => {
    bytes += piece.length;
    if (bytes > MAX_REST_BYTES) stop();
  };
  const late = setTimeout(() => {
    stop();
  }, MAX_REST_MS);
  const stop = (): void => {
    clearTimeout(late);
    forget();
    request.off('data', count);
    request.pause();
    then();
  };
  const forget = finished(request, { writable: false }, stop);
  request.on('data', count);
  request.resume();
}
