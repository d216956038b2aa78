import { type Signature } from '../common/tensor';
import { type FileTraits } from './probe/file-kind';

/** What an artifact can be; `opaque` is stored and searched, never opened. */
export const ARTIFACT_FORMATS = [
  'tfjs-layers',
  'tfjs-graph',
  'tf-saved-model',
  'onnx',
  'opaque',
] as const;
export type ArtifactFormat = (typeof ARTIFACT_FORMATS)[number];

/**
 * A file of an upload as the inspection sees it: `content` is held for descriptions only, `traits`
 * were noticed while it streamed by.
 */
export interface InspectedFile {
  readonly path: string;
  readonly bytes: number;
  readonly content?: Uint8Array;
  readonly traits?: FileTraits;
}

/** What the inspection of a whole artifact found out without running any of it. */
export interface Inspection {
  readonly format: ArtifactFormat;
  /** Path of the file that a loader starts from, e.g. `model.json`. */
  readonly entry: string;
  readonly signature: Signature;
  /** False while types and shapes of the outputs are for the test load to fill in. */
  readonly outputsComplete: boolean;
  /** Bytes of the weights once they are in memory, quantised ones expanded to float32. */
  readonly loadedBytes: number;
  /** The library that the artifact comes from, where the files show it. */
  readonly framework?: string;
  /** Things worth telling that do not stop the upload. */
  readonly warnings: readonly string[];
}
