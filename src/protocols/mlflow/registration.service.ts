import assert from 'node:assert';
import { once } from 'node:events';
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';

import { ArtifactStore } from '../../artifacts/artifact.store';
import { InvalidInputError } from '../../common/errors';
import { type Config } from '../../config/config';
import { CONFIG } from '../../config/config.tokens';
import { isNormalizedPath } from '../../formats/keras/normalized-path';
import { LOGGER, type Logger } from '../../http/logger';
import { ModelsRepository } from '../../models/models.repository';
import { type Published, PublishService } from '../../models/publish.service';
import { type UploadedPart } from '../../models/receive-files';
import {
  fromPairs,
  type Pair,
  type VersionDoc,
  type VersionOrigin,
} from '../../models/version.doc';
import { VersionFiles } from '../../models/version-files.service';
import { VersionLeases } from '../../models/version-leases.service';
import { type VersionMetadata } from '../../models/version-metadata';
import { VersionsRepository } from '../../models/versions.repository';
import { parseSource, type SourceAddress } from './parse-source';
import { MOVED_BY_MLFLOW } from './registered-models.controller';
import { StagedArtifactsStore } from './staged-artifacts.store';

const MAX_FILES = 10_000;

/**
 * How long the answer waits for a version that has its number to prove itself: most have by then,
 * and clients that hear of a pending one look again after seconds.
 */
const PATIENCE_MS = 2_000;

/** A version to be made, in the words of the registry. */
export interface Registration {
  readonly model: string;
  readonly origin: VersionOrigin;
  /** The host that the client asked, which an address may name. */
  readonly host: string | undefined;
  readonly description: string;
  readonly tags: readonly Pair<string>[];
}

/** What a version is made of, with what the files do not say. */
interface Source extends Pick<VersionMetadata, 'labels' | 'recipe' | 'signature' | 'format'> {
  readonly parts: AsyncIterable<UploadedPart>;
}

interface SourceFile {
  readonly path: string;
  readonly bytes: number;
  readonly open: () => AsyncIterable<Uint8Array>;
}

/**
 * Makes versions of what was uploaded by the artifact proxy, or of other versions, through the same
 * steps as any upload.
 *
 * A version is answered for once it has its number; what is still to be proven goes on behind the
 * answer, and what comes of it stands in the document. What is refused before leaves nothing.
 */
@Injectable()
export class RegistrationService implements BeforeApplicationShutdown {
  private readonly running = new Set<Promise<unknown>>();

  constructor(
    private readonly models: ModelsRepository,
    private readonly versions: VersionsRepository,
    private readonly publisher: PublishService,
    private readonly staged: StagedArtifactsStore,
    private readonly files: VersionFiles,
    private readonly leases: VersionLeases,
    private readonly artifacts: ArtifactStore,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** @throws StoreError for a source that cannot become a version */
  async register(registration: Registration): Promise<VersionDoc> {
    const address = parseSource(registration.origin.source, registration.host);
    await this.models.assertExists(registration.model);
    let reserved: VersionDoc | undefined;
    const patience = new AbortController();
    const publishing = this.publish(registration, address, (version) => {
      reserved = version;
      patience.abort();
    });
    const settled = publishing.then(
      ({ version }) => version,
      async (error: unknown) => await this.failed(reserved, error),
    );
    this.track(settled);
    return await Promise.race([settled, pendingAfter(patience.signal, () => reserved)]);
  }

  /** What is under way behind answers ends before the database does. */
  async beforeApplicationShutdown(): Promise<void> {
    await Promise.allSettled(this.running);
  }

  private track(work: Promise<unknown>): void {
    const tracked = work.catch(() => undefined).finally(() => this.running.delete(tracked));
    this.running.add(tracked);
  }

  /** A version that had its number says itself what came of it. */
  private async failed(reserved: VersionDoc | undefined, error: unknown): Promise<VersionDoc> {
    if (!reserved) throw error;
    const { _id, model, version } = reserved;
    this.logger.warn({ version: _id, error: String(error) }, 'a version failed to register');
    const doc = await this.versions.find(model, version);
    if (doc?.state !== 'failed') throw error;
    return doc;
  }

  private async publish(
    { model, origin, description, tags }: Registration,
    address: SourceAddress,
    onReserved: (version: VersionDoc) => void,
  ): Promise<Published> {
    const publish = async ({ parts, ...told }: Source): Promise<Published> =>
      await this.publisher.publish({
        model,
        parts,
        metadata: () => ({
          ...told,
          tags: fromPairs(tags),
          ...(description === '' ? {} : { description }),
        }),
        movedBy: MOVED_BY_MLFLOW.movedBy,
        origin,
        onReserved,
      });
    if (address.kind === 'staged') return await publish(await this.stagedSource(address.path));
    const doc = await this.files.getReadable(address.model, address.version);
    return await this.leases.holdWhile(doc, 'archive', async () => {
      return await publish(this.versionSource(doc, address.path));
    });
  }

  private async stagedSource(path: string): Promise<Source> {
    const files = await this.staged.hold(path);
    return {
      parts: this.partsOf(
        files.map((file) => ({ ...file, open: () => this.staged.open(file) })),
        path,
      ),
    };
  }

  /** All of a version with what its digest covers beside the files; or a folder, by itself. */
  private versionSource(doc: VersionDoc, path: string): Source {
    const files = doc.files
      .filter((file) => !isNormalizedPath(file.path) && isWithin(file.path, path))
      .map(({ path: own, ref }) => ({
        path: own,
        bytes: ref.rawBytes,
        open: () => this.artifacts.readWhole(ref),
      }));
    const { labels, recipe, declaredSignature: signature, format } = doc;
    const told =
      path === ''
        ? {
            ...(labels ? { labels: [...labels] } : {}),
            ...(recipe ? { recipe } : {}),
            ...(signature ? { signature } : {}),
            ...(format === 'opaque' ? { format } : {}),
          }
        : {};
    return { ...told, parts: this.partsOf(files, path) };
  }

  /** @throws InvalidInputError where there is nothing, or too much */
  private partsOf(files: readonly SourceFile[], folder: string): AsyncIterable<UploadedPart> {
    if (files.length === 0) {
      throw new InvalidInputError(
        `There are no artifacts at ${folder === '' ? 'the root' : folder}; upload them first`,
      );
    }
    if (files.length > MAX_FILES) {
      throw new InvalidInputError(`There are more than ${MAX_FILES} artifacts at ${folder}`);
    }
    const { maxUploadBytes } = this.config;
    if (files.reduce((sum, { bytes }) => sum + bytes, 0) > maxUploadBytes) {
      throw new InvalidInputError(
        `The artifacts at ${folder} are larger than the ${maxUploadBytes} bytes of one version`,
      );
    }
    const start = folder === '' ? 0 : folder.length + 1;
    const parts = files.map(({ path, open }): UploadedPart => {
      // A file by itself keeps its name.
      return { path: path === folder ? posix.basename(path) : path.slice(start), body: open() };
    });
    return Readable.from(parts);
  }
}

function isWithin(path: string, folder: string): boolean {
  return folder === '' || path === folder || path.startsWith(`${folder}/`);
}

/** The pending version, where it has waited long enough to become more than that. */
async function pendingAfter(
  hasNumber: AbortSignal,
  reserved: () => VersionDoc | undefined,
): Promise<VersionDoc> {
  await once(hasNumber, 'abort');
  await sleep(PATIENCE_MS, undefined, { ref: false });
  const version = reserved();
  assert(version, 'the signal says that there is one');
  return version;
}
