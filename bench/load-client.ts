import autocannon from 'autocannon';

import { type Sample } from './alternate';

const SAMPLE_MS = 50;

/**
 * Posts bodies over some connections for a while, each as soon as the one before is answered.
 *
 * @throws TypeError when any answer is not a success: a fast refusal is not a speed
 */
export async function loadWith(
  url: string,
  options: {
    readonly connections: number;
    readonly loadMs: number;
    readonly body: () => string | Buffer;
    readonly contentType?: string;
  },
): Promise<Sample> {
  const latenciesMs: number[] = [];
  const faults = new Map<string, number>();
  const fault = (what: string): void => {
    faults.set(what, (faults.get(what) ?? 0) + 1);
  };
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const load = autocannon(
      {
        url,
        connections: options.connections,
        duration: options.loadMs / 1000,
        sampleInt: SAMPLE_MS,
        method: 'POST',
        headers: { 'Content-Type': options.contentType ?? 'application/json' },
        requests: [{ setupRequest: (request) => ({ ...request, body: options.body() }) }],
      },
      (error: Error | null, measured) => {
        if (error) reject(error);
        else resolve(measured);
      },
    );
    // Its own histogram knows only whole milliseconds.
    load.on('response', (_client, status, _bytes, responseMs) => {
      if (status >= 300) fault(String(status));
      latenciesMs.push(responseMs);
    });
    load.on('reqError', (error: NodeJS.ErrnoException) => {
      fault(error.code ?? error.message);
    });
  });
  if (result.non2xx + result.errors + result.timeouts > 0) {
    throw new TypeError(
      `${url}: ${result.non2xx} refused, ${result.errors} failed, ${result.timeouts} too late (${listed(faults)})`,
    );
  }
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number): number => latenciesMs[Math.floor(latenciesMs.length * share)] ?? NaN;
  return {
    perSecond: result['2xx'] / result.duration,
    details: { p50Ms: at(0.5), p99Ms: at(0.99) },
  };
}

/** What went wrong and how often: which of them it was tells a refusal from a service that is gone. */
function listed(faults: ReadonlyMap<string, number>): string {
  return [...faults].map(([what, count]) => `${count} x ${what}`).join(', ');
}
