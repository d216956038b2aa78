import { Inject, Injectable } from '@nestjs/common';

import { type ArtifactFile, type ArtifactRef } from '../artifacts/artifact';
import { ArtifactStore } from '../artifacts/artifact.store';
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
import { UploadAbandonedError, VersionRejectedError } from './models.errors';
import { ModelsRepository } from './models.repository';
import { receiveFiles, type ReceivedFile, storeParts, type UploadedPart } from './receive-files';
import { TEST_LOADER, type TestLoader } from './test-loader.port';
import { UploadIntentsRepository } from './upload-intents.repository';
import { UploadLease } from './upload-lease';
import { manifestDigest, normalizedDigest } from './version-manifest';
import { manifestFiles, toLoadable, toPairs, type VersionDoc } from './version.doc';
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
 * intents + chunks -> normalise -> inspect -> reserve (pending) -> files documents -> verifying:
 *   read back, test load -> ready (one update, the commit point) -> alias
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
    private readonly kerasReader: KerasReader,
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
    let doc: VersionDoc;
    try {
      const draft = await this.receive(request, lease);
      const twin = await this.versions.findByDigest(request.model, draft.digest);
      if (twin) return await this.yieldTo(twin, lease);
      await lease.assertHeld();
      const version = await this.models.nextVersion(request.model);
      doc = { ...draft, _id: versionId(request.model, version), version };
    } catch (error) {
      await this.discard(lease);
      throw error;
    }
    if (!(await this.reserve(doc, lease))) {
      const winner = await this.versions.findByDigest(doc.model, doc.digest);
      if (winner) return await this.yieldTo(winner, lease);
      await this.discard(lease);
      throw new UploadAbandonedError('The same content was just removed; upload again');
    }
    return { version: await this.prove(doc, lease), created: true };
  }

  private async receive(request: PublishRequest, lease: UploadLease): Promise<VersionDraft> {
    const store = async (body: AsyncIterable<Uint8Array>): Promise<ArtifactRef> => {
      const fileId = this.artifacts.newFileId();
      await lease.addFile(fileId);
      return await this.artifacts.write(fileId, body);
    };
    const received = await receiveFiles(request.parts, store);
    request.assertArrived?.();
    const metadata = request.metadata();
    await this.assertParent(request.model, metadata.parent);
    // Acknowledged by the majority, this stands behind the bytes: now they can be read back.
    await lease.assertHeld();
    const normalized = await this.normalize(received, metadata, store);
    const inspection = inspectReceived(normalized?.written ?? received, metadata);
    const warnings = [...(normalized?.warnings ?? []), ...inspection.warnings];
    return draftVersion(
      request.model,
      lease.uploadId,
      [...received, ...(normalized?.written ?? [])],
      { ...inspection, ...(normalized ? { framework: 'keras' } : {}), warnings },
      normalized?.from ?? null,
      metadata,
    );
  }

  /** Reads back what was uploaded where it must be rewritten, and stores the result beside it. */
  private async normalize(
    received: readonly ReceivedFile[],
    { format }: VersionMetadata,
    store: (body: AsyncIterable<Uint8Array>) => Promise<ArtifactRef>,
  ): Promise<Normalized<ReceivedFile[]> | null> {
    if (format === 'opaque') return null;
    const files = received.map(({ ref, ...file }) => ({
      ...file,
      bytes: ref.rawBytes,
      open: () => this.artifacts.open(ref),
    }));
    return await normalizeUpload(files, this.kerasReader, (parts) => storeParts(parts, store));
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
    try {
      // A deletion that came between the number and its document has not seen the document.
      await this.models.assertExists(model);
      for (const { path, ref } of doc.files) {
        await this.artifacts.seal(ref, `${model}/${version}/${path}`);
      }
      await this.versions.markVerifying(_id, uploadId);
      // From the database, not from memory: only what can be read back counts as stored.
      for (const { ref } of doc.files) await this.artifacts.verify(ref);
      const facts = await this.testLoader.testLoad(toLoadable(doc));
      const warnings = [...doc.warnings, ...facts.warnings];
      await lease.assertHeld();
      if (!(await this.versions.markReady(_id, uploadId, { ...facts, warnings }))) {
        throw new UploadAbandonedError('The upload was given up meanwhile; upload again');
      }
    } catch (error) {
      await this.fail(doc, lease, error);
    }
    // Released last: as long as the intents stand, the reaper finishes what a crash cuts off here.
    await this.aliases.pointFirst(model, version);
    await lease.release();
    return await this.versions.get(model, version);
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
    if (failed) await this.discard(lease);
    else lease.stop();
    throw rejection(doc, failure, error);
  }

  /** Another version has the same content: ours goes, and the answer is that one once it is ready. */
  private async yieldTo(twin: VersionDoc, lease: UploadLease): Promise<Published> {
    const { model } = twin;
    await this.discard(lease);
    const until = Date.now() + TWIN_WAIT_MS;
    let version = await this.versions.get(model, twin.version);
    while ((version.state === 'pending' || version.state === 'verifying') && Date.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, TWIN_POLL_MS));
      version = await this.versions.get(model, twin.version);
    }
    if (version.state === 'ready') {
      await this.aliases.pointFirst(model, version.version);
      return { version, created: false };
    }
    throw new VersionRejectedError(
      `The same content is version ${version.version} of ${model}, which is ${version.state}`,
      { model, version: version.version, failure: version.failure },
    );
  }

  /** Removes what an upload wrote, as far as the database answers; the reaper takes the rest. */
  private async discard(lease: UploadLease): Promise<void> {
    lease.stop();
    try {
      await this.artifacts.remove(lease.files.map((fileId) => ({ fileId })));
      await lease.release();
    } catch {
      // The failure that led here is the one worth reporting, and the intents still stand.
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

function total<T>(items: readonly T[], bytes: (item: T) => number): number {
  return items.reduce((sum, item) => sum + bytes(item), 0);
}

function draftVersion(
  model: string,
  uploadId: string,
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
  const storedBytes = total(files, ({ ref }) => ref.storedBytes);
  return {
    model,
    uploadId,
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
    storedBytes,
    addedBytes: storedBytes,
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
