import { type NamedTensors } from '../common/tensor';
import { type FeedbackAnswer } from './feedback.answer';
import { outputsToJson } from './outputs-json';
import { type PredictionAnswer } from './prediction.answer';
import { outputsOf } from './prediction-proof';
import { type ExportedPrediction } from './prediction-export.service';
import { decodeTensorFile } from './tensor-file';

/** Tensors by name, bit for bit: JSON numbers lose the sign of zero and the payload of NaN. */
function base64Tensors(tensors: NamedTensors): object {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, data: Buffer.from(data).toString('base64') },
    ]),
  );
}

/** A record as the API shows it, perhaps with the bytes of its input, and outputs bit for bit. */
export function toRecordLine(
  { answer, prediction, content, contentFault }: ExportedPrediction,
  exact: boolean,
): string {
  const outputs = exact ? outputsOf(prediction) : null;
  const bytes = content ? { content: content.toString('base64') } : { contentFault };
  const line = {
    ...answer,
    ...(outputs ? { outputs: base64Tensors(outputs) } : {}),
    input: { ...answer.input, ...bytes },
  };
  return `${JSON.stringify(line)}\n`;
}

/** A line of the capture files that SageMaker endpoints write, which drift monitors read. */
export function toCaptureLine({ answer, prediction, content }: ExportedPrediction): string {
  const { predictionId, callerId, createdAt, input } = answer;
  const outputs = outputsOf(prediction);
  const captured = {
    captureData: {
      ...(content ? { endpointInput: { mode: 'INPUT', ...captureInput(input, content) } } : {}),
      ...(outputs
        ? { endpointOutput: { mode: 'OUTPUT', ...captureJson(columnsOf(outputs)) } }
        : {}),
    },
    eventMetadata: {
      eventId: predictionId,
      ...(callerId === undefined ? {} : { inferenceId: callerId }),
      inferenceTime: createdAt,
    },
    eventVersion: '0',
  };
  return `${JSON.stringify(captured)}\n`;
}

/** What turned out to be true, in the form in which those monitors merge it; empty when nothing did. */
export function toTruthLine({ answer }: ExportedPrediction): string {
  const { feedback, predictionId } = answer;
  if (!feedback) return '';
  const line = {
    groundTruthData: groundTruth(feedback),
    eventMetadata: { eventId: predictionId },
    eventVersion: '0',
  };
  return `${JSON.stringify(line)}\n`;
}

function groundTruth({ label, values }: FeedbackAnswer): { data: string; encoding: string } {
  if (label !== undefined) return { data: csvRow([label].flat()), encoding: 'CSV' };
  if (Array.isArray(values)) return { data: csvRow(values as number[]), encoding: 'CSV' };
  return { data: JSON.stringify(values), encoding: 'JSON' };
}

function captureInput(
  { kind, contentType }: PredictionAnswer['input'],
  content: Buffer,
): Record<string, string> {
  if (kind === 'tensors') return captureJson(columnsOf(decodeTensorFile(content)));
  return {
    observedContentType: contentType ?? 'application/octet-stream',
    data: content.toString('base64'),
    encoding: 'BASE64',
  };
}

function captureJson(value: unknown): Record<string, string> {
  return {
    observedContentType: 'application/json',
    data: JSON.stringify(value),
    encoding: 'JSON',
  };
}

/** Whole tensors as nested lists by name, NaN and the infinities as strings. */
function columnsOf(tensors: NamedTensors): unknown {
  const json = outputsToJson(tensors, { inputs: [], outputs: [] }, 'columns', 0);
  return 'outputs' in json ? json.outputs : json;
}

/** A row of CSV as RFC 4180 has it, without the line break. */
export function csvRow(cells: readonly (string | number | null)[]): string {
  return cells.map(csvCell).join(',');
}

function csvCell(cell: string | number | null): string {
  if (cell === null) return '';
  const written = String(cell);
  return /[",\r\n]/.test(written) ? `"${written.replaceAll('"', '""')}"` : written;
}
