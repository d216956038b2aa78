import { type Signature } from '../common/tensor';
import { type InspectedFile, type Inspection } from './artifact-format';
import { inspectTfjs } from './inspect-tfjs';
import { inspectOnnx } from './onnx/inspect-onnx';
import { inspectOpaque } from './opaque/inspect-opaque';
import { inspectSavedModel } from './saved-model/inspect-saved-model';

/** Inspects an artifact of a format that it knows; null when the artifact is of another. */
type Recogniser = (
  files: readonly InspectedFile[],
  stated: Signature | undefined,
) => Inspection | null;

/**
 * Tried in order; the first that knows the artifact answers for it, and refuses it when it is
 * broken. What none of them knows is kept as it is.
 */
const RECOGNISERS: readonly Recogniser[] = [
  // What has a format of its own comes before what is only kept.
  inspectTfjs,
  inspectSavedModel,
  inspectOnnx,
];

export interface InspectOptions {
  /** Stores the files as they are, whatever they look like. */
  readonly format?: 'opaque';
  /** What the uploader says about inputs and outputs; fills in what the files leave out. */
  readonly signature?: Signature;
}

/**
 * Finds out what an uploaded artifact is and what speaks against loading it, without running any
 * of it: everything in it may be made to do harm.
 *
 * @throws InvalidArtifactError with every fault and its path, for a model that is plainly broken;
 * UnrecognisedArtifactError for weights without the model they belong to
 */
export function inspectArtifact(
  files: readonly InspectedFile[],
  options: InspectOptions = {},
): Inspection {
  if (options.format !== 'opaque') {
    for (const recognise of RECOGNISERS) {
      const inspection = recognise(files, options.signature);
      if (inspection) return inspection;
    }
  }
  return inspectOpaque(files, options.signature);
}

/** Whether the content of a file must be kept for the inspection while it streams by. */
export function wantsContent(path: string): boolean {
  return path.toLowerCase().endsWith('.json') || /(?:^|\/)saved_model\.pb$/.test(path);
}
