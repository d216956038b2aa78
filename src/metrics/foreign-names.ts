import { type MetricObjectWithValues, type MetricValue } from 'prom-client';

/** Series of a histogram also say which of its parts they are. */
type Value = MetricValue<string> & { readonly metricName?: string };
type Metric = MetricObjectWithValues<Value>;
type Labels = Readonly<Record<string, string | number | undefined>>;

/** One series under another server's name, with where its values come from. */
interface Alias {
  readonly name: string;
  readonly type: 'counter' | 'histogram' | 'gauge';
  readonly from: string;
  /** Which of a histogram's series; a counter has one. */
  readonly part?: 'sum' | 'count';
  readonly factor?: number;
  readonly labels: (labels: Labels) => Labels;
}

const MICROSECONDS = 1_000_000;

const triton = ({ model, version, code }: Labels): Labels => ({
  model,
  version,
  ...(code === undefined ? {} : { reason: code }),
});
const tfServing = ({ model }: Labels): Labels => ({ model_name: model });

/**
 * The same figures under the names of Triton (`nv_inference_*`, cumulative microseconds) and of
 * TensorFlow Serving (`:tensorflow:serving:*`), so that boards made for those show this service.
 */
const ALIASES: readonly Alias[] = [
  counter('nv_inference_request_success', 'gridstow_predictions_total', triton),
  counter('nv_inference_request_failure', 'gridstow_prediction_failures_total', triton),
  counter('nv_inference_count', 'gridstow_predicted_rows_total', triton),
  counter('nv_inference_exec_count', 'gridstow_engine_calls_total', triton),
  microseconds('nv_inference_request_duration_us', 'gridstow_prediction_seconds'),
  microseconds('nv_inference_queue_duration_us', 'gridstow_queue_seconds'),
  microseconds('nv_inference_compute_infer_duration_us', 'gridstow_infer_seconds'),
  {
    name: 'nv_inference_pending_request_count',
    type: 'gauge',
    from: 'gridstow_waiting_requests',
    labels: triton,
  },
  counter(':tensorflow:serving:request_count', 'gridstow_predictions_total', (labels) => ({
    ...tfServing(labels),
    status: 'OK',
  })),
  counter(':tensorflow:serving:request_count', 'gridstow_prediction_failures_total', (labels) => ({
    ...tfServing(labels),
    status: labels['code'],
  })),
  {
    name: ':tensorflow:serving:request_latency',
    type: 'histogram',
    from: 'gridstow_prediction_seconds',
    factor: MICROSECONDS,
    labels: tfServing,
  },
  {
    name: ':tensorflow:serving:runtime_latency',
    type: 'histogram',
    from: 'gridstow_infer_seconds',
    factor: MICROSECONDS,
    labels: tfServing,
  },
];

function counter(name: string, from: string, labels: Alias['labels']): Alias {
  return { name, type: 'counter', from, labels };
}

function microseconds(name: string, from: string): Alias {
  return { name, type: 'counter', from, part: 'sum', factor: MICROSECONDS, labels: triton };
}

/** The aliases as text. What differs only in labels that the other server does not know is added up. */
export function foreignNames(metrics: readonly Metric[]): string {
  const lines: string[] = [];
  const typed = new Set<string>();
  for (const alias of ALIASES) {
    const source = metrics.find(({ name }) => name === alias.from);
    if (!source) continue;
    if (!typed.has(alias.name)) lines.push(`# TYPE ${alias.name} ${alias.type}`);
    typed.add(alias.name);
    for (const [series, value] of addUp(alias, source.values)) lines.push(`${series} ${value}`);
  }
  return `${lines.join('\n')}\n`;
}

function addUp(alias: Alias, values: Metric['values']): Map<string, number> {
  const sums = new Map<string, number>();
  const { name, from, part, factor = 1, labels } = alias;
  for (const { metricName = from, value, labels: own } of values) {
    const suffix = metricName.slice(from.length);
    if (part !== undefined && suffix !== `_${part}`) continue;
    const le = own['le'];
    const scaledLe = typeof le === 'number' ? le * factor : le;
    const isTime = part !== undefined || suffix === '_sum';
    const named = { ...labels(own), ...(le === undefined ? {} : { le: scaledLe }) };
    const series = `${name}${part === undefined ? suffix : ''}${toText(named)}`;
    sums.set(series, (sums.get(series) ?? 0) + (isTime ? value * factor : value));
  }
  return sums;
}

/** Values need no escaping: models, versions and codes are made of harmless characters. */
function toText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value ?? ''}"`);
  return pairs.length > 0 ? `{${pairs.join(',')}}` : '';
}
