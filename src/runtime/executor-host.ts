import { performance } from 'node:perf_hooks';

import { type ArtifactFile } from '../artifacts/artifact';
import { type Piece, type RoomFor } from '../artifacts/artifact.store';
import { type NamedTensors } from '../common/tensor';
import { type LoadableVersion } from '../models/version';
import { type Engine, type FileSource, type LoadedModel } from './engines/engine';
import {
  type ExecutorReplies,
  type ExecutorStats,
  type Vitals,
  versionKey,
} from './executor-protocol';
import { ModelUnloadableError } from './runtime.errors';

const RSS_TTL_MS = 1_000;

/** The reply to a load, and what was compiled for it. */
export interface Loaded {
  readonly reply: ExecutorReplies['load'];
  readonly form?: Uint8Array;
}

/**
 * What runs inside an executor: one engine and the versions loaded in it.
 *
 * A version is loaded at most once; loading it again answers with what is there.
 */
export class ExecutorHost {
  private readonly models = new Map<
    string,
    Promise<{ readonly model: LoadedModel; readonly readPaths: readonly string[] }>
  >();
  private rss = { atMs: -Infinity, bytes: 0 };

  constructor(private readonly engine: Engine) {}

  async load(version: LoadableVersion, source: FileSource): Promise<Loaded> {
    const key = versionKey(version);
    let loading = this.models.get(key);
    if (!loading) {
      const recorded = new RecordedSource(source);
      loading = this.engine
        .load(version, recorded)
        .then((model) => ({ model, readPaths: recorded.paths }));
      this.models.set(key, loading);
      // A failed load is forgotten, so that it can be tried again.
      loading.catch(() => this.models.delete(key));
    }
    const { model, readPaths } = await loading;
    const { bytes, inputs, warnings, compiled } = model;
    const reply = { bytes, inputs, readPaths, warnings, vitals: this.vitals() };
    if (!compiled) return { reply: { ...reply, compiled: null } };
    return { reply: { ...reply, compiled: { damage: compiled.damage } }, form: compiled.form };
  }

  async predict(
    key: string,
    inputs: NamedTensors,
  ): Promise<{
    readonly outputs: NamedTensors;
    readonly inferMs: number;
    readonly vitals: Vitals;
  }> {
    const loaded = await this.models.get(key);
    if (!loaded) throw new ModelUnloadableError(`Version ${key} is not loaded here`, { key });
    const start = performance.now();
    const outputs = await loaded.model.predict(inputs);
    return { outputs, inferMs: performance.now() - start, vitals: this.vitals() };
  }

  async unload(key: string): Promise<void> {
    const loading = this.models.get(key);
    this.models.delete(key);
    const loaded = await loading?.catch(() => undefined);
    await loaded?.model.dispose();
  }

  stats(): ExecutorStats {
    return {
      tensors: this.engine.tensorCount(),
      rssBytes: process.memoryUsage.rss(),
      versions: [...this.models.keys()],
    };
  }

  private vitals(): Vitals {
    const now = performance.now();
    // Asking the system costs more than a small model does.
    if (now - this.rss.atMs > RSS_TTL_MS) {
      this.rss = { atMs: now, bytes: process.memoryUsage.rss() };
    }
    return { tensors: this.engine.tensorCount(), rssBytes: this.rss.bytes };
  }
}

/** Remembers what was read: those bytes were compared with their digests. */
class RecordedSource implements FileSource {
  readonly paths: string[] = [];

  constructor(private readonly source: FileSource) {}

  async read(file: ArtifactFile): Promise<ArrayBuffer> {
    const bytes = await this.source.read(file);
    this.paths.push(file.path);
    return bytes;
  }

  async *open(file: ArtifactFile, roomFor?: RoomFor): AsyncGenerator<Piece> {
    yield* this.source.open(file, roomFor);
    this.paths.push(file.path);
  }
}

/** Files that came with the request, for executors without a database. */
export class SentFiles implements FileSource {
  private readonly parts = new Map<string, Uint8Array>();

  constructor(files: readonly ArtifactFile[], lengths: readonly number[], payload: Uint8Array) {
    let at = 0;
    files.forEach(({ path }, index) => {
      const end = at + (lengths[index] ?? 0);
      this.parts.set(path, payload.subarray(at, end));
      at = end;
    });
  }

  async read({ path }: ArtifactFile): Promise<ArrayBuffer> {
    const bytes = this.parts.get(path);
    if (!bytes) throw new ModelUnloadableError(`File ${path} was not sent along`, { path });
    // Engines take whole buffers: a view of the payload would be read from its first byte.
    return await Promise.resolve(Uint8Array.from(bytes).buffer);
  }

  async *open(file: ArtifactFile): AsyncGenerator<Piece> {
    const bytes = new Uint8Array(await this.read(file));
    yield { length: bytes.length, bytes };
  }
}
