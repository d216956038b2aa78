import { type Signature } from '../../common/tensor';
import { type InspectedFile, type Inspection } from '../artifact-format';
import { quoted } from '../fault-log';
import { FILE_KINDS } from '../probe/file-kind';

/** Files of one upload that are told about; a folder of thousands of pickles is no model. */
const MAX_TOLD = 20;
const MAX_WARNINGS = 200;

/**
 * Takes files as they are: never opened, never run. Says what they were recognised as and what
 * stands out about them.
 */
export function inspectOpaque(
  files: readonly InspectedFile[],
  stated: Signature | undefined,
): Inspection {
  const recognised = files.filter(({ traits }) => (traits?.kind ?? null) !== null);
  const [first] = recognised;
  const kind = first?.traits?.kind ?? null;
  const warnings = recognised.slice(0, MAX_TOLD).map(({ path, traits }) => {
    const title = traits?.kind ? FILE_KINDS[traits.kind].title : '';
    return `${quoted(path)} is ${title}: kept as it is, not run here`;
  });
  if (recognised.length > MAX_TOLD) {
    warnings.push(`${recognised.length - MAX_TOLD} more files were recognised and kept`);
  }
  if (recognised.length === 0) {
    warnings.push('Nothing here was recognised as a model: the files are kept as they are');
  }
  for (const { path, traits } of files) {
    if (
      traits?.namesTopology === true &&
      !/\.json$/i.test(path) &&
      warnings.length < MAX_WARNINGS
    ) {
      warnings.push(
        `${quoted(path)} looks like a TensorFlow.js model: its description is read only under a name that ends in .json`,
      );
    }
    for (const note of traits?.notes ?? []) {
      if (warnings.length < MAX_WARNINGS) warnings.push(`${quoted(path)} ${note}`);
    }
  }
  const framework =
    first?.traits?.framework ?? (kind === null ? undefined : FILE_KINDS[kind].framework);
  return {
    format: 'opaque',
    entry: (first ?? files[0])?.path ?? '',
    signature: stated ?? { inputs: [], outputs: [] },
    outputsComplete: true,
    loadedBytes: 0,
    ...(framework === undefined ? {} : { framework }),
    warnings,
  };
}
