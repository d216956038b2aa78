import type { io } from '@tensorflow/tfjs-core';
import { type Db } from 'mongodb';

import { ArtifactStore } from '../artifacts/artifact.store';
import { BlobRemover } from '../artifacts/blob-remover';
import { declareBlobs } from '../artifacts/bucket-schema';
import { InlineCodec } from '../artifacts/codec/inline.codec';
import { InvalidInputError } from '../common/errors';
import { type ModelRef } from '../common/model-ref';
import { type EngineChoice } from '../config/config';
import { parseDto } from '../http/dto.pipe';
import { CompiledForms } from '../models/compiled-forms.service';
import { KerasReader } from '../formats/keras/keras-reader';
import { AliasMovesRepository } from '../models/alias-moves.repository';
import { AliasesService } from '../models/aliases.service';
import { BlobReferences } from '../models/blob-references';
import { ModelsRepository } from '../models/models.repository';
import { PublishService } from '../models/publish.service';
import { type UploadedPart } from '../models/receive-files';
import { type TestLoader } from '../models/test-loader.port';
import { UploadIntentsRepository } from '../models/upload-intents.repository';
import { VersionResolver } from '../models/version-resolver.service';
import { VersionMetadata } from '../models/version-metadata';
import { toLoadable, type VersionDoc } from '../models/version.doc';
import { VersionsRepository } from '../models/versions.repository';
import { Schema } from '../mongo/schema';
import { withGuarantees } from '../mongo/with-guarantees';
import { allowedEngines } from './engine-choice';
import { type FileSource } from './engines/engine';
import { installedEngines } from './engines/installed-engines';
import { Executor } from './executor';
import { GridfsIoHandler } from './gridfs-io-handler';
import { joinBuffers, type ModelFile, toModelFiles } from './model-artifact-files';
import { ModelUnloadableError } from './runtime.errors';
import { LOAD_DEADLINE_MS } from './load.policy';
import { Sandbox } from './sandbox';
import { TestLoad } from './test-load';

const PREDICT_DEADLINE_MS = 60_000;

export interface LibraryOptions {
  /** What a saved version is described with: metrics, tags, labels, and so on. */
  readonly metadata?: Partial<VersionMetadata>;
  /** The engine that proves a saved version; `auto` by default, as in the service. */
  readonly engine?: EngineChoice;
}

/** What saving answers, with the version that came of it. */
export interface SavedVersion extends io.SaveResult {
  readonly model: string;
  readonly version: number;
  readonly digest: string;
  /** False when the model already had a version with the same content. */
  readonly created: boolean;
}

/** Name and how it was written: only a written alias is moved by saving. */
export interface ModelTarget {
  readonly ref: ModelRef;
  readonly namesAlias: boolean;
}

/**
 * The store as a library in somebody else's process: loading and publishing, without the service.
 *
 * Publishing takes the same steps as an upload: states, digests read back, a test run in a process
 * of its own, one commit point. Nothing here keeps the program alive once a call has returned.
 */
export class ModelLibrary {
  private readonly schema = new Schema();
  private readonly artifacts: ArtifactStore;
  private readonly models: ModelsRepository;
  private readonly versions: VersionsRepository;
  private readonly moves: AliasMovesRepository;
  private readonly intents: UploadIntentsRepository;
  private readonly resolver: VersionResolver;
  private readonly db: Db;

  constructor(given: Db) {
    this.db = withGuarantees(given);
    declareBlobs(this.schema);
    this.artifacts = new ArtifactStore(this.db, new InlineCodec());
    this.models = new ModelsRepository(this.db, this.schema);
    this.versions = new VersionsRepository(this.db, this.schema);
    this.moves = new AliasMovesRepository(this.db, this.schema);
    this.intents = new UploadIntentsRepository(this.db, this.schema);
    this.resolver = new VersionResolver(this.models, this.versions, this.moves);
  }

  /** @throws ModelNotFoundError, VersionNotReadyError, ArtifactCorruptError and others */
  async load(ref: ModelRef): Promise<io.ModelArtifacts> {
    const { version } = await this.resolver.resolve(ref);
    assertTfjs(version);
    const artifacts = await new GridfsIoHandler(toLoadable(version), this.source()).load();
    const { weightData = [] } = artifacts;
    return { ...artifacts, weightData: joinBuffers([weightData].flat()) };
  }

  async save(
    { ref, namesAlias }: ModelTarget,
    artifacts: io.ModelArtifacts,
    { metadata = {}, engine = 'auto' }: LibraryOptions,
  ): Promise<SavedVersion> {
    if ('version' in ref) {
      throw new InvalidInputError('Saving makes a new version; its number is given by the store', [
        { path: 'url', message: `leave out the version: gridfs://${ref.model}` },
      ]);
    }
    const described = parseDto(VersionMetadata, metadata, 'metadata');
    const files = toModelFiles(artifacts);
    await this.schema.apply(this.db);
    const sandbox = new Sandbox(
      async (name) =>
        await Executor.start({ engine: name, files: this.source(), log: () => undefined }),
    );
    try {
      const tests = new TestLoad(sandbox, LOAD_DEADLINE_MS, PREDICT_DEADLINE_MS);
      const engines = allowedEngines(engine, installedEngines());
      const { version, created } = await this.publisher({
        testLoad: async (loadable) => await tests.run(loadable, engines),
        warm: async (loadable) => {
          await tests.run(loadable, engines);
        },
      }).publish({
        model: ref.model,
        parts: toParts(files),
        metadata: () => described,
        movedBy: 'gridstow/io',
        ...(namesAlias ? { promote: ref.alias } : {}),
      });
      return {
        modelArtifactsInfo: describe(files),
        model: version.model,
        version: version.version,
        digest: version.digest,
        created,
      };
    } finally {
      await sandbox.stop();
    }
  }

  private publisher(testLoader: TestLoader): PublishService {
    const { artifacts, models, versions, intents, moves, resolver } = this;
    const aliases = new AliasesService(moves, models, versions, artifacts, resolver, testLoader);
    const remover = new BlobRemover(artifacts.blobs, new BlobReferences(intents, versions));
    return new PublishService(
      artifacts,
      models,
      versions,
      intents,
      aliases,
      remover,
      new KerasReader(),
      // Whoever looks at a version sees whether it has one.
      new CompiledForms(this.db, artifacts, intents, versions, remover, { warn: () => undefined }),
      testLoader,
    );
  }

  private source(): FileSource {
    return {
      read: async ({ ref }) => await this.artifacts.read(ref),
      open: ({ ref }) => this.artifacts.readPieces(ref, () => undefined),
    };
  }
}

/** @throws ModelUnloadableError for what is no model of TensorFlow.js */
function assertTfjs({ model, version, format }: VersionDoc): void {
  if (format === 'tfjs-layers' || format === 'tfjs-graph') return;
  throw new ModelUnloadableError(
    `Version ${version} of ${model} is ${format}, which TensorFlow.js does not load`,
    { model, version, format },
  );
}

async function* toParts(files: readonly ModelFile[]): AsyncGenerator<UploadedPart> {
  for (const { path, bytes } of files) {
    yield await Promise.resolve({ path, body: pieces(bytes) });
  }
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

function describe(files: readonly ModelFile[]): io.ModelArtifactsInfo {
  const [json, weights] = files;
  return {
    dateSaved: new Date(),
    modelTopologyType: 'JSON',
    modelTopologyBytes: json?.bytes.byteLength ?? 0,
    weightDataBytes: weights?.bytes.byteLength ?? 0,
  };
}
