import { type Signature } from '../common/tensor';
import { type InspectedFile, type Inspection } from './artifact-format';
import { UnrecognisedArtifactError } from './formats.errors';
import { inspectTfjs } from './inspect-tfjs';

/** Inspects an artifact of a format that it knows; null when the artifact is of another. */
type Recogniser = (
  files: readonly InspectedFile[],
  stated: Signature | undefined,
) => Inspection | null;

/** Tried in order; the first that knows the artifact answers for it. */
const RECOGNISERS: readonly Recogniser[] = [inspectTfjs];

const KNOWN_FORMATS = 'TensorFlow.js layers and graph models (a model.json with its weight files)';

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
 * @throws InvalidArtifactError with every fault and its path; UnrecognisedArtifactError
 */
export function inspectArtifact(
  files: readonly InspectedFile[],
  options: InspectOptions = {},
): Inspection {
  if (options.format === 'opaque') return opaque(files, options.signature);
  for (const recognise of RECOGNISERS) {
    const inspection = recognise(files, options.signature);
    if (inspection) return inspection;
  }
  throw new UnrecognisedArtifactError(
    `The files are of no known format. Known are ${KNOWN_FORMATS}; to store other files as they are, set format to opaque in the metadata`,
    files.slice(0, 20).map(({ path }) => ({ path, message: 'not recognised' })),
  );
}

/** Whether the content of a file must be kept for the inspection while it streams by. */
export function wantsContent(path: string): boolean {
  return path.toLowerCase().endsWith('.json');
}

function opaque(files: readonly InspectedFile[], stated: Signature | undefined): Inspection {
  return {
    format: 'opaque',
    entry: files[0]?.path ?? '',
    signature: stated ?? { inputs: [], outputs: [] },
    outputsComplete: true,
    loadedBytes: 0,
    warnings: [],
  };
}
