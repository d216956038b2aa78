import { type IncomingMessage, type ServerResponse } from 'node:http';

import { acceptedPacking, pack } from '../../http/packed-body';
import { JSON_TYPE } from '../../http/send-json';

/** The header that says where the JSON part of a body ends. */
export const JSON_LENGTH_HEADER = 'Inference-Header-Content-Length';

/** Sends the JSON part and the bytes behind it, packed where the client asks for that. */
export async function sendOip(
  request: IncomingMessage,
  response: ServerResponse,
  json: string,
  binary: readonly Uint8Array[] = [],
): Promise<void> {
  const text = Buffer.from(json);
  response.statusCode = 200;
  if (binary.length > 0) response.setHeader(JSON_LENGTH_HEADER, text.length);
  response.setHeader('Content-Type', binary.length > 0 ? 'application/octet-stream' : JSON_TYPE);
  response.setHeader('Vary', 'Accept-Encoding');
  const whole = binary.length > 0 ? Buffer.concat([text, ...binary]) : text;
  const packing = acceptedPacking(request);
  const body = packing ? await pack(whole, packing) : whole;
  if (packing) response.setHeader('Content-Encoding', packing);
  response.setHeader('Content-Length', body.length);
  response.end(body);
}
