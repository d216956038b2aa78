/** What a process that loaded one model tells: how long it took, and how far its memory grew. */
export interface LoadTimes {
  readonly loadMs: number;
  readonly peakBytes: number;
}

/** By what a model is loaded: the service's executors, the library, or what one writes without them. */
export type LoadWay = 'executor' | 'library' | 'stock';
