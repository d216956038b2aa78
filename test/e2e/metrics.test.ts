import { bootService, type BootedService } from '../support/boot';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

let service: BootedService;

beforeAll(async () => {
  service = await bootService();
  const files = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');
  expect((await upload(service.url, 'digits', files)).status).toBe(201);
});

afterAll(async () => {
  await service.close();
});

const row = Array.from({ length: 8 }, () => Array.from({ length: 8 }, (_, x) => [x / 8]));
const scrape = async (path = '/metrics'): Promise<string> => {
  const response = await fetch(`${service.url}${path}`);
  expect(response.status).toBe(200);
  expect(response.headers.get('Content-Type')).toContain('text/plain');
  return await response.text();
};

describe('GET /metrics', () => {
  it('has predictions, calls, loads, memory and requests by route', async () => {
    const url = `${service.url}/api/models/digits/predict`;
    expect((await sendJson('POST', url, { instances: [row, row] })).status).toBe(200);
    expect((await sendJson('POST', url, { instances: [[1]] })).status).toBe(422);
    expect((await fetch(`${service.url}/nowhere/at/all`)).status).toBe(404);

    const text = await scrape();

    const labels = 'model="digits",version="1"';
    for (const line of [
      `gridstow_predictions_total{${labels},protocol="native"} 1`,
      `gridstow_predicted_rows_total{${labels}} 2`,
      `nv_inference_count{${labels}} 2`,
      ':tensorflow:serving:request_count{model_name="digits",status="OK"} 1',
      'gridstow_decode_seconds_count{kind="json"} 1',
      'gridstow_live_versions_missing 0',
      'gridstow_recording_predicted_total 1',
      'gridstow_recording_recorded_total 1',
      'gridstow_recording_dropped_total 0',
      'gridstow_recording_queued 0',
    ]) {
      expect(text).toContain(`${line}\n`);
    }
    expect(text).toMatch(
      /gridstow_load_seconds_count\{model="digits",version="1",engine="\w+"\} 1/,
    );
    expect(text).toMatch(/gridstow_loaded_versions\{executor="1",engine="\w+"\} 1/);
    expect(text).toMatch(/gridstow_tensors\{executor="1",engine="\w+"\} [1-9]/);
    expect(text).toMatch(/gridstow_executor_rss_bytes\{executor="1",engine="\w+"\} \d{7,}/);
    expect(text).toContain(
      'gridstow_http_request_seconds_count{method="POST",route="/api/models/:ref/predict",status="422"} 1',
    );
    expect(text).not.toContain('nowhere');
    expect(text).toContain('nodejs_eventloop_lag_seconds');
  });

  it('is also where boards of TensorFlow Serving look', async () => {
    expect(await scrape('/monitoring/prometheus/metrics')).toContain(':tensorflow:serving:');
  });
});
