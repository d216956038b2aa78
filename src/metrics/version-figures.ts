import { type MetricObjectWithValues, type MetricValue } from 'prom-client';

/** How often, and how long altogether. */
export interface CountAndTime {
  readonly count: number;
  readonly seconds: number;
}

/** What was counted of one version since the start. */
export interface VersionFigures {
  readonly predictions: number;
  readonly failures: number;
  readonly rows: number;
  /** Calls of an engine: one computes the rows of one or several requests. */
  readonly calls: number;
  readonly total: CountAndTime;
  readonly queue: CountAndTime;
  readonly infer: CountAndTime;
  readonly record: CountAndTime;
  /** When one was last answered. */
  readonly lastAt: Date | null;
}

type Series = MetricObjectWithValues<MetricValue<string> & { readonly metricName?: string }>;

/** Adds up the series of a counter that belong to one version. */
export function countOf(series: Series, model: string, version: number, name?: string): number {
  return series.values
    .filter(
      ({ labels, metricName }) =>
        labels['model'] === model &&
        Number(labels['version']) === version &&
        (name === undefined || metricName === name),
    )
    .reduce((sum, { value }) => sum + value, 0);
}

/** The same of a histogram of seconds. */
export function timeOf(series: Series, model: string, version: number): CountAndTime {
  return {
    count: countOf(series, model, version, `${series.name}_count`),
    seconds: countOf(series, model, version, `${series.name}_sum`),
  };
}
