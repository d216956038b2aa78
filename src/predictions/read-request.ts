import { type Signature } from '../common/tensor';
import { type WireError } from '../common/relayed-error';
import { parseStrictJson } from '../http/strict-json';
import { type PredictRequest, readPredictRequest } from './predict-request';
import { type PredictionInput } from './prediction.doc';

/** A body for a thread of `RequestReader`; its bytes are handed over. */
export interface ReadJob {
  readonly body: Uint8Array;
  readonly signature: Signature;
}

/** The request without its tensors, which are in the input: whoever gets it lays views over those. */
export type ReadReply =
  | { readonly refused: WireError }
  | {
      readonly request: Omit<PredictRequest, 'inputs' | 'input'>;
      readonly input: Omit<PredictionInput, 'content'>;
      readonly content: Uint8Array<ArrayBuffer>;
    };

/**
 * Reads a body of JSON, on whatever thread.
 *
 * @throws BadJsonError, JsonTooComplexError, and what `readPredictRequest` throws
 */
export function readRequest(body: Buffer, signature: Signature): PredictRequest {
  return readPredictRequest(parseStrictJson(body), signature);
}
