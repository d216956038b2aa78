import { Metrics } from '../../../src/metrics/metrics';

const version = { model: 'digits', version: 2 };

/** The value of each series, by its name with labels. */
async function series(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

describe('Metrics', () => {
  it('counts predictions, their rows and the parts of their time', async () => {
    const metrics = new Metrics();
    const times = { queueMs: 1, inferMs: 40, recordMs: 2, totalMs: 50 };
    metrics.predicted(version, 'native', 3, times);
    metrics.predicted(version, 'image', 1, times);
    metrics.predictionFailed(version, 'native', 'prediction_deadline');

    const found = await series(metrics);

    const labels = 'model="digits",version="2"';
    expect(found.get(`gridstow_predictions_total{${labels},protocol="native"}`)).toBe(1);
    expect(found.get(`gridstow_predicted_rows_total{${labels}}`)).toBe(4);
    expect(found.get(`gridstow_infer_seconds_sum{${labels}}`)).toBeCloseTo(0.08);
    expect(found.get(`gridstow_infer_seconds_bucket{le="0.05",${labels}}`)).toBe(2);
    expect(found.get(`gridstow_infer_seconds_bucket{le="0.02",${labels}}`)).toBe(0);
    expect(
      found.get(
        `gridstow_prediction_failures_total{${labels},protocol="native",code="prediction_deadline"}`,
      ),
    ).toBe(1);
  });

  it('gives the same figures under the names of Triton, protocols added up', async () => {
    const metrics = new Metrics();
    const times = { queueMs: 1, inferMs: 40, recordMs: 2, totalMs: 50 };
    metrics.predicted(version, 'native', 3, times);
    metrics.predicted(version, 'image', 1, times);
    metrics.called(version, 'wasm', 4);

    const found = await series(metrics);

    const labels = '{model="digits",version="2"}';
    expect(found.get(`nv_inference_request_success${labels}`)).toBe(2);
    expect(found.get(`nv_inference_count${labels}`)).toBe(4);
    expect(found.get(`nv_inference_exec_count${labels}`)).toBe(1);
    expect(found.get(`nv_inference_queue_duration_us${labels}`)).toBeCloseTo(2_000);
    expect(found.get(`nv_inference_request_duration_us${labels}`)).toBeCloseTo(100_000);
  });

  it('gives the same figures under the names of TensorFlow Serving, in microseconds', async () => {
    const metrics = new Metrics();
    const times = { queueMs: 1, inferMs: 40, recordMs: 2, totalMs: 45 };
    metrics.predicted(version, 'native', 1, times);
    metrics.predicted({ model: 'digits', version: 3 }, 'native', 1, times);
    metrics.predictionFailed(version, 'native', 'executor_lost');

    const found = await series(metrics);

    const name = ':tensorflow:serving:request';
    expect(found.get(`${name}_count{model_name="digits",status="OK"}`)).toBe(2);
    expect(found.get(`${name}_count{model_name="digits",status="executor_lost"}`)).toBe(1);
    expect(found.get(`${name}_latency_bucket{model_name="digits",le="50000"}`)).toBe(2);
    expect(found.get(`${name}_latency_bucket{model_name="digits",le="+Inf"}`)).toBe(2);
    expect(found.get(`${name}_latency_bucket{model_name="digits",le="20000"}`)).toBe(0);
    expect(found.get(`${name}_latency_sum{model_name="digits"}`)).toBeCloseTo(90_000);
    expect(found.get(`${name}_latency_count{model_name="digits"}`)).toBe(2);
  });

  it('asks the runtime at each scrape, and forgets what is gone', async () => {
    const metrics = new Metrics();
    const waiting = new Map([['digits', 7]]);
    metrics.watchRuntime(() => ({ budgetBytes: 100, waiting, executors: [], liveMissing: 1 }));

    expect((await series(metrics)).get('gridstow_waiting_requests{model="digits"}')).toBe(7);
    waiting.clear();
    const found = await series(metrics);

    expect(found.get('gridstow_waiting_requests{model="digits"}')).toBeUndefined();
    expect(found.get('gridstow_live_versions_missing')).toBe(1);
    expect(found.get('gridstow_memory_budget_bytes')).toBe(100);
  });

  it('says at each scrape what became of records, as counters and what is queued', async () => {
    const metrics = new Metrics();
    let recorded = 5;
    const others = { predicted: 9, dropped: 1, unrecorded: 4, replayed: 2, removed: 0 };
    metrics.watchRecording(() => ({ ...others, recorded, waiting: 8 - recorded }));

    await series(metrics);
    recorded = 6;
    const found = await series(metrics);

    const of = (what: string) => found.get(`gridstow_recording_${what}`);
    expect(['predicted', 'recorded', 'dropped'].map((what) => of(`${what}_total`))).toEqual([
      9, 6, 1,
    ]);
    expect([of('unrecorded_total'), of('replayed_total'), of('queued')]).toEqual([4, 2, 2]);
    expect(await metrics.text()).toContain('# TYPE gridstow_recording_recorded_total counter');
  });
});
