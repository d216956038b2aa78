import { type Signature } from '../common/tensor';
import { parseStrictJson } from '../http/strict-json';
import { type PredictRequest, readPredictRequest } from './predict-request';

/**
 * Reads a body of JSON, on whatever thread.
 *
 * @throws BadJsonError, JsonTooComplexError, and what `readPredictRequest` throws
 */
export function readRequest(body: Buffer, signature: Signature): PredictRequest {
  return readPredictRequest(parseStrictJson(body), signature);
}
