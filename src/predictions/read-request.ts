import { type Signature } from '../common/tensor';
import { parseStrictJson } from '../http/strict-json';
import { type PredictRequest, readPredictRequest } from './predict-request';
import { readQuickRequest } from './quick-request';

/**
 * Reads a body of JSON, on whatever thread.
 *
 * @throws BadJsonError, JsonTooComplexError, and what `readPredictRequest` throws
 */
export function readRequest(body: Buffer, signature: Signature): PredictRequest {
  return readQuickRequest(body, signature) ?? readPredictRequest(parseStrictJson(body), signature);
}
