import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { type Request } from 'express';

import { assertJson, readBody } from './raw-body';
import { parseStrictJson } from './strict-json';

/**
 * Descriptions, reasons and targets are small; tensors come in by routes of their own. More than
 * this would hold up the event loop while it is parsed.
 */
const MAX_JSON_BYTES = 256 * 1024;

/** The body of a request as strictly read JSON, to be followed by a `DtoPipe`. */
export const JsonBody = createParamDecorator(
  async (_data: unknown, context: ExecutionContext): Promise<unknown> => {
    const request = context.switchToHttp().getRequest<Request>();
    assertJson(request);
    return parseStrictJson(await readBody(request, MAX_JSON_BYTES));
  },
);
