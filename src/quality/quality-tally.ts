import { type Signature } from '../common/tensor';
import { valuesOf } from '../common/tensor-values';
import { inOrder } from '../predictions/outputs-json';
import { outputsOf } from '../predictions/prediction-proof';
import { type Prediction } from '../predictions/prediction.doc';
import { type Truth } from '../predictions/feedback.doc';
import { mayBeScores } from '../predictions/top-labels';

/** What a version document says that it takes to read its outputs. */
export interface ReadableVersion {
  readonly signature: Signature;
  readonly labels: readonly string[] | null;
}

export interface ClassQuality {
  readonly label: string;
  /** Rows that are of this class. */
  readonly support: number;
  /** Rows that were said to be of it. */
  readonly predicted: number;
  /** Of those said to be, the part that is; null when none was. */
  readonly precision: number | null;
  /** Of those that are, the part that was found; null when none is. */
  readonly recall: number | null;
}

export interface ClassificationQuality {
  readonly rows: number;
  readonly accuracy: number;
  /** Mean of -ln of the probability given to the truth; null where scores are no probabilities. */
  readonly logLoss: number | null;
  readonly classes: readonly ClassQuality[];
  /** Only what occurred. */
  readonly confusion: readonly { truth: string; predicted: string; rows: number }[];
}

export interface RegressionQuality {
  readonly output: string;
  readonly values: number;
  readonly meanAbsoluteError: number;
  readonly meanSquaredError: number;
}

export interface QualityFigures {
  /** Predictions whose truth is known. */
  readonly predictions: number;
  /** Of these, those whose truth has another number of rows or values, or names no output. */
  readonly mismatched: number;
  readonly classification: ClassificationQuality | null;
  readonly regression: readonly RegressionQuality[];
}

/** Probabilities of 0 would make the loss of one row infinite. */
const LEAST_PROBABILITY = 1e-15;

/** Compares predictions with what turned out to be true. */
export class QualityTally {
  private predictions = 0;
  private mismatched = 0;
  private readonly confusion = new Map<string, Map<string, number>>();
  private rows = 0;
  private loss = 0;
  private lossRows = 0;
  private readonly errors = new Map<
    string,
    { values: number; absolute: number; squared: number }
  >();

  add(prediction: Prediction, truth: Truth, version: ReadableVersion | null): void {
    this.predictions++;
    const isUsed = truth.labels
      ? this.addLabels(prediction, truth.labels, version)
      : this.addValues(prediction, truth.values ?? [], version);
    if (!isUsed) this.mismatched++;
  }

  report(): QualityFigures {
    const { predictions, mismatched } = this;
    return {
      predictions,
      mismatched,
      classification: this.rows === 0 ? null : this.reportClasses(),
      regression: [...this.errors].map(([output, { values, absolute, squared }]) => ({
        output,
        values,
        meanAbsoluteError: absolute / values,
        meanSquaredError: squared / values,
      })),
    };
  }

  private addLabels(
    prediction: Prediction,
    labels: readonly string[],
    version: ReadableVersion | null,
  ): boolean {
    const { top, rows } = prediction;
    if (!top || labels.length !== rows) return false;
    labels.forEach((label, row) => {
      const said = top[row]?.[0]?.label;
      if (said === undefined) return;
      const counts = this.confusion.get(label) ?? new Map<string, number>();
      this.confusion.set(label, counts.set(said, (counts.get(said) ?? 0) + 1));
      this.rows++;
    });
    this.addLoss(prediction, labels, version);
    return true;
  }

  private addLoss(
    prediction: Prediction,
    truth: readonly string[],
    version: ReadableVersion | null,
  ): void {
    const scores = namedValues(prediction, version).find(({ dtype }) => mayBeScores(dtype));
    const names = version?.labels ?? [];
    if (scores?.values.length !== names.length * truth.length) return;
    truth.forEach((label, row) => {
      const probability = Number(scores.values[row * names.length + names.indexOf(label)]);
      if (!names.includes(label) || !(probability >= 0 && probability <= 1)) return;
      this.loss -= Math.log(Math.max(probability, LEAST_PROBABILITY));
      this.lossRows++;
    });
  }

  private addValues(
    prediction: Prediction,
    truths: NonNullable<Truth['values']>,
    version: ReadableVersion | null,
  ): boolean {
    const outputs = namedValues(prediction, version);
    const pairs = truths.map(({ name, values }) => ({
      output: name === undefined ? outputs[0] : outputs.find((output) => output.name === name),
      values,
    }));
    if (pairs.some(({ output, values }) => output?.values.length !== values.length)) return false;
    for (const { output, values } of pairs) {
      if (!output) continue;
      const errors = this.errors.get(output.name) ?? { values: 0, absolute: 0, squared: 0 };
      values.forEach((value, index) => {
        const error = Number(output.values[index]) - value;
        errors.values++;
        errors.absolute += Math.abs(error);
        errors.squared += error ** 2;
      });
      this.errors.set(output.name, errors);
    }
    return true;
  }

  private reportClasses(): ClassificationQuality {
    const confusion = [...this.confusion].flatMap(([truth, counts]) =>
      [...counts].map(([predicted, rows]) => ({ truth, predicted, rows })),
    );
    confusion.sort((a, b) => compare(a.truth, b.truth) || compare(a.predicted, b.predicted));
    const sum = (isCounted: (cell: { truth: string; predicted: string }) => boolean): number =>
      confusion.filter(isCounted).reduce((total, { rows }) => total + rows, 0);
    const labels = [...new Set(confusion.flatMap(({ truth, predicted }) => [truth, predicted]))];
    return {
      rows: this.rows,
      accuracy: sum(({ truth, predicted }) => truth === predicted) / this.rows,
      logLoss: this.lossRows === this.rows ? this.loss / this.rows : null,
      classes: labels.sort(compare).map((label) => {
        const support = sum(({ truth }) => truth === label);
        const predicted = sum((cell) => cell.predicted === label);
        const right = this.confusion.get(label)?.get(label) ?? 0;
        return {
          label,
          support,
          predicted,
          precision: predicted === 0 ? null : right / predicted,
          recall: support === 0 ? null : right / support,
        };
      }),
      confusion,
    };
  }
}

/** Outputs in the order of the signature, as far as there is one. */
function namedValues(prediction: Prediction, version: ReadableVersion | null) {
  const signature = version?.signature ?? { inputs: [], outputs: [] };
  return inOrder(outputsOf(prediction) ?? {}, signature).map(([name, tensor]) => ({
    name,
    dtype: tensor.dtype,
    values: valuesOf(tensor),
  }));
}

/** Labels that are numbers by their size, the others by their letters. */
function compare(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
