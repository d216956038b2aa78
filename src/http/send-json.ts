import { type ServerResponse } from 'node:http';

export const JSON_TYPE = 'application/json; charset=utf-8';

/** Ends a response with a JSON body, and with the headers that were set before. */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.end(startJson(response, status, body));
}

/** Sets what belongs before a JSON body. @returns the body */
export function startJson(response: ServerResponse, status: number, body: unknown): string {
  const text = JSON.stringify(body);
  response.statusCode = status;
  response.setHeader('Content-Type', JSON_TYPE);
  response.setHeader('Content-Length', Buffer.byteLength(text));
  return text;
}
