import { type Signature } from '../common/tensor';

/**
 * What is odd about labels beside the outputs that they are to name: labels that do not fit are
 * kept, since they may be of use elsewhere, but answers then have no `top`.
 */
export function labelWarnings(labels: readonly string[] | null, signature: Signature): string[] {
  // Classifiers in ONNX give the class itself first, and its scores behind it.
  const output = signature.outputs.find(({ dtype }) => dtype !== 'string' && dtype !== 'int64');
  if (!labels || !output) return [];
  const scores = output.shape.at(-1) ?? 1;
  // A size that only shows when the model runs.
  if (scores < 0 || (labels.length === scores && labels.length > 1)) return [];
  const names = labels.length === 1 ? '1 label' : `${labels.length} labels`;
  const rows = scores === 1 ? 'one number' : `${scores} numbers`;
  return [
    `labels: ${names} for the output ${output.name}, which has ${rows} per row; answers get no \`top\`, and quality counts no classes by it`,
  ];
}
