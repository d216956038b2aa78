import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * Loaded into the service's process before its own code (`--require`): watches what one piece of
 * work costs the process, from one message of its parent to the next.
 */

/** Resident memory and event-loop delay of the service between two questions. */
export interface ProbeReading {
  readonly rssBytes: number;
  readonly peakRssBytes: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
}

const SAMPLE_MS = 20;

const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
let peakRssBytes = 0;
const sampling = setInterval(() => {
  peakRssBytes = Math.max(peakRssBytes, residentBytes());
}, SAMPLE_MS);
sampling.unref();

process.on('message', () => {
  const rssBytes = residentBytes();
  const reading: ProbeReading = {
    rssBytes,
    peakRssBytes: Math.max(peakRssBytes, rssBytes),
    delayP99Ms: delay.percentile(99) / 1e6,
    delayMaxMs: delay.max / 1e6,
  };
  delay.reset();
  peakRssBytes = rssBytes;
  process.send?.(reading);
});
process.channel?.unref();

/** Not `process.memoryUsage()`, which walks the heap and would disturb what it measures. */
function residentBytes(): number {
  const pages = readFileSync('/proc/self/statm', 'latin1').split(' ')[1];
  return Number(pages) * 4096;
}
