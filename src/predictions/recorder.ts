import { type PredictionRecord } from './prediction.doc';

/**
 * Keeps what was predicted.
 *
 * When `record` returns, the recorder stands for the record as its mode promises; when it throws,
 * the result must not be given out.
 */
export interface Recorder {
  record(record: PredictionRecord): Promise<void>;
}

/** For models whose predictions are not to be kept. */
export const NO_RECORDER: Recorder = {
  record: async () => {
    await Promise.resolve();
  },
};
