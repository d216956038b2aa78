import { Inject, Injectable } from '@nestjs/common';
import { type ObjectId } from 'mongodb';

import { type ArtifactFile, blobsOf, storedBytesOf } from '../artifacts/artifact';
import { ArtifactCorruptError } from '../artifacts/artifact.errors';
import { ArtifactStore } from '../artifacts/artifact.store';
import { type ArtifactWriter } from '../artifacts/artifact-writer';
import { BlobRemover } from '../artifacts/blob-remover';
import { uploadOf } from '../artifacts/blob.store';
import { InvalidInputError, StoreError } from '../common/errors';
import { parseRecipe } from '../features/parse-recipe';
import { type Inspection } from '../formats/artifact-format';
import { inspectArtifact } from '../formats/inspect-artifact';
import { KerasReader } from '../formats/keras/keras-reader';
import {
  type Normalized,
  type NormalizedFrom,
  normalizeUpload,
} from '../formats/keras/normalize-upload';
import { AliasesService } from './aliases.service';
import { CompiledForms } from './compiled-forms.service';
import {
  StoredBytesDamagedError,
  TwinPendingError,
  UploadAbandonedError,
  VersionRejectedError,
} from './models.errors';
import { ModelsRepository } from './models.repository';
import { receiveFiles, type ReceivedFile, storeParts, type UploadedPart } from './receive-files';
import { TEST_LOADER, type TestLoader } from './test-loader.port';
import { UploadIntentsRepository } from './upload-intents.repository';
import { UploadLease } from './upload-lease';
import { labelWarnings } from './label-warnings';
import { manifestDigest, normalizedDigest } from './version-manifest';
import {
  manifestFiles,
  neededBlobs,
  toLoadable,
  toPairs,
  type VersionDoc,
  type VersionOrigin,
} from './version.doc';
import { type VersionMetadata } from './version-metadata';
import { versionId, VersionsRepository } from './versions.repository';

/** How long a second upload of the same content waits for the first to become ready. */
const TWIN_WAIT_MS = 60_000;
const TWIN_POLL_MS = 100;

/** One upload: its files as they stream in, and what the uploader says about them. */
export interface PublishRequest {
  readonly model: string;
  readonly parts: AsyncIterable<UploadedPart>;
  /** Asked for once all parts have been read: a form may send it last. */
  readonly metadata: () => VersionMetadata;
  /** Throws when what arrived is not what was announced; asked for once all parts have been read. */
  readonly assertArrived?: () => void;
  /** Alias to move to the version when it is ready. */
  readonly promote?: string;
  readonly movedBy: string;
  /** Where the files come from, as the version is to say. */
  readonly origin?: VersionOrigin;
  /** Told the version as soon as it has its number: it is pending then, and can still fail. */
  readonly onReserved?: (version: VersionDoc) => void;
}

export interface Published {
  readonly version: VersionDoc;
  /** False when the model already had a version with the same content. */
  readonly created: boolean;
}

/** A version before it has a number. */
export type VersionDraft = Omit<VersionDoc, '_id' | 'version'>;

/** What a dry run finds out. */
export interface Preview {
  readonly draft: VersionDraft;
  /** The version that already has this content. */
  readonly existingVersion: number | null;
}

/**
 * Publishing a version, from the first byte to the alias.
 *
 * ```
 * intent + chunks -> normalise -> inspect -> reserve (pending) -> files documents -> verifying:
 *   test load, read back, compiled form -> ready (one update, the commit point) -> alias
 * ```
 * Whatever step fails or is cut off, a reader sees either no new version or a whole one. Before
 * the reservation nothing remains; after it the number stays as a `failed` document with its
 * reason. Bytes that a crash leaves behind belong to the reaper.
 */
@Injectable()
export class PublishService {
  constructor(
    private readonly artifacts: ArtifactStore,
    private readonly models: ModelsRepository,
    private readonly versions: VersionsRepository,
    private readonly intents: UploadIntentsRepository,
    private readonly aliases: AliasesService,
    private readonly remover: BlobRemover,
    private readonly kerasReader: KerasReader,
    private readonly forms: CompiledForms,
    @Inject(TEST_LOADER) private readonly testLoader: TestLoader,
  ) {}

  async publish(request: PublishRequest): Promise<Published> {
    const lease = new UploadLease(this.intents, request.model);
    const published = await this.store(request, lease);
    if (request.promote !== undefined) {
      const { model, version } = published.version;
      await this.aliases.promote(model, request.promote, version, {
        movedBy: request.movedBy,
        reason: 'promoted at upload',
      });
    }
    return published;
  }

  /**
   * Everything up to the reservation: what would be stored, and under which digest. The bytes are
   * written as for an upload, since normalising reads them back, and are gone again at the end.
   */
  async preview(request: PublishRequest): Promise<Preview> {
    const lease = new UploadLease(this.intents, request.model);
    try {
      const draft = await this.receive(request, lease);
      const twin = await this.versions.findByDigest(request.model, draft.digest);
      return { draft, existingVersion: twin?.version ?? null };
    } finally {
      await this.discard(lease);
    }
  }

  private async store(request: PublishRequest, lease: UploadLease): Promise<Published> {
    const { model } = request;
    let doc: VersionDoc | undefined;
    try {
      const draft = await this.receive(request, lease);
      for (;;) {
        const twin = await this.awaitTwin(model, draft.digest);
        if (twin) {
          await this.discard(lease);
          await this.aliases.pointFirst(model, twin.version);
          return { version: twin, created: false };
        }
        await lease.assertHeld();
        const version = await this.models.nextVersion(model);
        doc = { ...draft, _id: versionId(model, version), version };
        if (await this.reserve(doc, lease)) break;
      }
    } catch (error) {
      await this.discard(lease);
      throw error;
    }
    request.onReserved?.(doc);
    return { version: await this.prove(doc, lease), created: true };
  }

  private async receive(request: PublishRequest, lease: UploadLease): Promise<VersionDraft> {
    const writer = this.artifacts.writer({
      claims: lease,
      base: async () => await this.findBase(request),
    });
    try {
      return await this.draft(request, lease, writer);
    } finally {
      // A write that comes late would outlive the removal of what was written.
      await writer.settle();
    }
  }

  private async draft(
    request: PublishRequest,
    lease: UploadLease,
    writer: ArtifactWriter,
  ): Promise<VersionDraft> {
    const received = await receiveFiles(request.parts, writer);
    request.assertArrived?.();
    const metadata = request.metadata();
    await this.assertParent(request.model, metadata.parent);
    // Acknowledged by the majority, this stands behind the bytes: now they can be read back.
    await lease.assertHeld();
    const normalized = await this.normalize(received, metadata, writer);
    const inspection = inspectReceived(normalized?.written ?? received, metadata);
    const warnings = [...(normalized?.warnings ?? []), ...inspection.warnings];
    const draft = draftVersion(
      request.model,
      lease.uploadId,
      [...received, ...(normalized?.written ?? [])],
      { ...inspection, ...(normalized ? { framework: 'keras' } : {}), warnings },
      normalized?.from ?? null,
      metadata,
    );
    return request.origin ? { ...draft, origin: request.origin } : draft;
  }

  /** Reads back what was uploaded where it must be rewritten, and stores the result beside it. */
  private async normalize(
    received: readonly ReceivedFile[],
    { format }: VersionMetadata,
    writer: ArtifactWriter,
  ): Promise<Normalized<ReceivedFile[]> | null> {
    if (format === 'opaque') return null;
    const files = received.map(({ ref, ...file }) => ({
      ...file,
      bytes: ref.rawBytes,
      open: () => this.artifacts.open(ref),
    }));
    return await normalizeUpload(files, this.kerasReader, (parts) => storeParts(parts, writer));
  }

  /** Files of the version that the upload most likely resembles: its parent where that is known already. */
  private async findBase(request: PublishRequest): Promise<readonly ArtifactFile[]> {
    const parent = statedParent(request);
    const base =
      parent === undefined
        ? await this.versions.findNewestReady(request.model)
        : await this.versions.find(request.model, parent);
    return base?.state === 'ready' ? base.files : [];
  }

  private async reserve(doc: VersionDoc, lease: UploadLease): Promise<boolean> {
    try {
      return await this.versions.reserve(doc);
    } catch (error) {
      // It may have been written all the same, so the bytes stay until the reaper has looked.
      lease.stop();
      throw error;
    }
  }

  /** Takes a reserved version to `ready`, or to `failed` with its reason. */
  private async prove(doc: VersionDoc, lease: UploadLease): Promise<VersionDoc> {
    const { _id, model, version, uploadId } = doc;
    let isFormLeft = false;
    try {
      // A deletion that came between the number and its document has not seen the document.
      await this.models.assertExists(model);
      const files = await this.seal(doc, lease);
      // From the database, not from memory: only what can be read back counts as stored.
      const { provenPaths, form, ...facts } = await this.testLoader.testLoad(
        toLoadable({ ...doc, files }),
      );
      await this.readBack(files, provenPaths);
      const warnings = [
        ...doc.warnings,
        ...facts.warnings,
        ...labelWarnings(doc.labels, facts.signature),
      ];
      const compiled = form && (await this.forms.write(doc, form, lease));
      isFormLeft = form !== undefined && !compiled;
      await lease.assertHeld();
      const isReady = await this.versions.markReady(
        { _id, uploadId, files },
        { ...facts, warnings },
        compiled,
      );
      if (!isReady) {
        throw new UploadAbandonedError('The upload was given up meanwhile; upload again');
      }
    } catch (error) {
      await this.fail(doc, lease, error);
    }
    // Released last: as long as the intent stands, the reaper finishes what a crash cuts off here.
    await this.aliases.pointFirst(model, version);
    const published = await this.versions.get(model, version);
    await this.letGo(lease, published, isFormLeft);
    return published;
  }

  /** Makes blobs of what was written; those that others made first take the place of ours. */
  private async seal(doc: VersionDoc, lease: UploadLease): Promise<readonly ArtifactFile[]> {
    const { _id, model, version, uploadId } = doc;
    const files = await this.artifacts.seal(
      doc.files,
      lease,
      (path) => `${model}/${version}/${path}`,
    );
    const isChanged = files !== doc.files;
    await this.versions.markVerifying(
      _id,
      uploadId,
      isChanged ? { files, ...storedFacts(files, lease.uploadId) } : {},
    );
    return files;
  }

  /**
   * Reads back what the test load has not read, but for blobs that a ready version has proven.
   *
   * @throws ArtifactCorruptError
   */
  private async readBack(
    files: readonly ArtifactFile[],
    provenPaths: readonly string[],
  ): Promise<void> {
    const open = files.filter(({ path }) => !provenPaths.includes(path));
    if (open.length === 0) return;
    const proven = await this.versions.provenAmong(blobsOf(open));
    for (const { ref } of open) {
      await this.artifacts.verifySegments(
        ref.segments.filter(({ blob }) => !proven.has(blob.toHexString())),
      );
    }
  }

  /** Frees what the upload relied upon on the way, without its version needing it in the end. */
  private async letGo(
    lease: UploadLease,
    published: VersionDoc,
    isFormLeft: boolean,
  ): Promise<void> {
    const named = new Set(neededBlobs(published).map((id) => id.toHexString()));
    const spare = lease.uses.filter((id) => !named.has(id.toHexString()));
    await lease.end();
    if (isFormLeft) await this.remover.freeUpload(lease.uploadId, spare);
    else await this.remover.free(spare);
    await lease.release();
  }

  /**
   * Records why a version failed and removes its bytes.
   *
   * Returns only when the version is ready after all: an update whose acknowledgement was lost.
   */
  private async fail(doc: VersionDoc, lease: UploadLease, error: unknown): Promise<void> {
    const failure = {
      code: error instanceof StoreError ? error.code : 'internal_error',
      message: error instanceof StoreError ? error.message : 'The service failed; see its log',
    };
    let failed: boolean;
    try {
      failed = await this.versions.markFailed(doc._id, doc.uploadId, failure);
      if (!failed && (await this.versions.find(doc.model, doc.version))?.state === 'ready') return;
    } catch {
      // Nobody knows what the database holds now. The reaper looks when the lease has run out.
      lease.stop();
      throw error;
    }
    const cause = await this.blameStored(doc, lease, error);
    if (failed) await this.discard(lease);
    else lease.stop();
    // Bytes that the reaper took from under an upload say nothing about what was uploaded.
    if (!failed && cause instanceof ArtifactCorruptError) {
      throw new UploadAbandonedError(
        'The upload stood still for too long and was given up; upload again',
        { retryAfterSeconds: 1 },
        { cause },
      );
    }
    throw rejection(doc, failure, cause);
  }

  /**
   * Finds out whose bytes are damaged. Blobs of others that are will not be used again, so that the
   * next try stores its own; the upload itself did nothing wrong.
   */
  private async blameStored(doc: VersionDoc, lease: UploadLease, error: unknown): Promise<unknown> {
    if (!(error instanceof ArtifactCorruptError)) return error;
    const stored = (await this.versions.find(doc.model, doc.version)) ?? doc;
    const damaged = await this.artifacts.retireDamaged(stored.files);
    if (damaged.every((blob) => uploadOf(blob).equals(lease.uploadId))) return error;
    return new StoredBytesDamagedError(
      'Bytes that were stored before and are the same in this upload turned out to be damaged; upload again, and they are stored anew',
      { ...error.details, retryAfterSeconds: 1 },
      { cause: error },
    );
  }

  /**
   * Finds a version with the same content that is ready, waiting for one that is on its way; null
   * when there is none, or it failed: then it is our turn.
   */
  private async awaitTwin(model: string, digest: string): Promise<VersionDoc | null> {
    const until = Date.now() + TWIN_WAIT_MS;
    for (;;) {
      const twin = await this.versions.findByDigest(model, digest);
      if (!twin || twin.state === 'ready') return twin;
      if (Date.now() > until) {
        throw new TwinPendingError(
          `The same content is being published as version ${twin.version} of ${model}; upload again in a moment`,
          { model, version: twin.version, retryAfterSeconds: 5 },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, TWIN_POLL_MS));
    }
  }

  /**
   * Removes what an upload wrote, as far as the database answers; the reaper takes the rest. Does
   * nothing when it was left to the reaper before.
   */
  private async discard(lease: UploadLease): Promise<void> {
    if (lease.isStopped) return;
    try {
      await lease.end();
      await this.remover.freeUpload(lease.uploadId, lease.uses);
      await lease.release();
    } catch {
      // The failure that led here is the one worth reporting, and the intent still stands.
    }
  }

  private async assertParent(model: string, parent: number | undefined): Promise<void> {
    if (parent !== undefined && !(await this.versions.find(model, parent))) {
      throw new InvalidInputError('The metadata name a parent that does not exist', [
        { path: 'metadata.parent', message: `model ${model} has no version ${parent}` },
      ]);
    }
  }
}

function inspectReceived(received: readonly ReceivedFile[], metadata: VersionMetadata): Inspection {
  return inspectArtifact(
    received.map(({ path, ref, content, traits }) => ({
      path,
      bytes: ref.rawBytes,
      traits,
      ...(content ? { content } : {}),
    })),
    {
      ...(metadata.format ? { format: metadata.format } : {}),
      ...(metadata.signature ? { signature: metadata.signature } : {}),
    },
  );
}

/** What the files take up in the database, and how much of it the upload itself wrote. */
function storedFacts(
  files: readonly ArtifactFile[],
  uploadId: ObjectId,
): Pick<VersionDoc, 'blobs' | 'storedBytes' | 'addedBytes'> {
  const segments = files.flatMap(({ ref }) => ref.segments);
  return {
    blobs: blobsOf(files),
    storedBytes: storedBytesOf(segments),
    addedBytes: storedBytesOf(segments.filter(({ blob }) => uploadOf(blob).equals(uploadId))),
  };
}

/** The parent, where the metadata came before the files; what is wrong with them is said later. */
function statedParent({ metadata }: PublishRequest): number | undefined {
  try {
    return metadata().parent;
  } catch {
    return undefined;
  }
}

function total<T>(items: readonly T[], bytes: (item: T) => number): number {
  return items.reduce((sum, item) => sum + bytes(item), 0);
}

function draftVersion(
  model: string,
  uploadId: ObjectId,
  received: readonly ReceivedFile[],
  inspection: Inspection,
  normalizedFrom: NormalizedFrom | null,
  metadata: VersionMetadata,
): VersionDraft {
  const files: ArtifactFile[] = received.map(({ path, contentType, ref }) => ({
    path,
    contentType,
    ref,
  }));
  const { format, entry, signature, loadedBytes, warnings } = inspection;
  const labels = metadata.labels ?? null;
  const recipe =
    metadata.recipe === undefined
      ? null
      : parseRecipe(metadata.recipe, signature, 'metadata.recipe');
  const declaredSignature = metadata.signature ?? null;
  const { uploaded, normalized } = manifestFiles(files);
  const digest = manifestDigest({
    format,
    files: uploaded,
    labels,
    recipe,
    declaredSignature,
  });
  return {
    model,
    uploadId: uploadId.toHexString(),
    state: 'pending',
    format,
    entry,
    digest,
    digestClaim: digest,
    createdAt: new Date(),
    readyAt: null,
    parent: metadata.parent ?? null,
    normalizedFrom,
    normalizedDigest: normalizedDigest(normalized),
    files,
    rawBytes: total(files, ({ ref }) => ref.rawBytes),
    ...storedFacts(files, uploadId),
    loadedBytes,
    signature,
    declaredSignature,
    labels,
    recipe,
    description: metadata.description ?? '',
    framework: metadata.framework ?? inspection.framework ?? null,
    trainingParameters: metadata.trainingParameters ?? {},
    metrics: toPairs(metadata.metrics ?? {}),
    tags: toPairs(metadata.tags ?? {}),
    engines: {},
    warnings,
    failure: null,
    pins: [],
  };
}

/** What the uploader is told: what the version itself did wrong is a 422 that names it. */
function rejection(
  { model, version }: VersionDoc,
  failure: { readonly code: string; readonly message: string },
  error: unknown,
): unknown {
  if (!(error instanceof StoreError)) return error;
  if (error.kind !== 'invalid' && error.kind !== 'corrupt' && error.kind !== 'deadline')
    return error;
  return new VersionRejectedError(
    `Version ${version} of ${model} was stored but did not prove itself: ${error.message}`,
    { ...error.details, model, version, failure },
    { cause: error },
  );
}
