import assert from 'node:assert/strict';

import { Inject, Injectable } from '@nestjs/common';
import { type Db, type ObjectId } from 'mongodb';

import { blobsOf } from '../artifacts/artifact';
import { ArtifactStore } from '../artifacts/artifact.store';
import { BlobRemover } from '../artifacts/blob-remover';
import { type UploadClaims } from '../artifacts/upload-claims.port';
import { LOGGER, type Logger } from '../http/logger';
import { DATABASE } from '../mongo/mongo.tokens';
import { inTransaction } from '../mongo/transaction';
import { UploadIntentsRepository } from './upload-intents.repository';
import { UploadLease } from './upload-lease';
import {
  compiledFile,
  compiledPath,
  type CompiledRef,
  type EngineReports,
  type LoadableVersion,
} from './version';
import { type VersionDoc } from './version.doc';
import { versionId, VersionsRepository } from './versions.repository';

/** What an engine compiled and was proven to compute the same, before it is stored. */
export interface ProvenForm extends Pick<CompiledRef, 'engine' | 'release'> {
  readonly bytes: Uint8Array;
}

type Numbered = Pick<LoadableVersion, 'model' | 'version'>;

/** Far behind the blobs of the files, for a form that is written under the hold of their upload. */
const FIRST_BLOB = 0xf00000;

/**
 * The stored compiled forms of versions.
 *
 * ```
 * upload:  files -> test load -> chunk, files document -> ready, which refers to it
 * renewal: intent -> chunk, files document -> the version refers to it, while the intent is held
 * ```
 * Cut off before somebody refers to it a form is the reaper's, as whatever an upload wrote. Of forms
 * that replace each other each is freed by whoever took its place. A version never fails for want
 * of a stored form: it can be compiled.
 */
@Injectable()
export class CompiledForms {
  constructor(
    @Inject(DATABASE) private readonly db: Db,
    private readonly artifacts: ArtifactStore,
    private readonly intents: UploadIntentsRepository,
    private readonly versions: VersionsRepository,
    private readonly remover: BlobRemover,
    @Inject(LOGGER) private readonly logger: Pick<Logger, 'warn'>,
  ) {}

  /**
   * Stores a form as part of what an upload holds.
   *
   * @returns undefined when that did not come about, for reasons that the log has
   */
  async write(
    { model, version }: Numbered,
    { engine, release, bytes }: ProvenForm,
    claims: UploadClaims,
  ): Promise<CompiledRef | undefined> {
    const path = compiledPath(engine);
    const base = (): Promise<[]> => Promise.resolve([]);
    const writer = this.artifacts.writer({ claims, base, firstBlob: FIRST_BLOB });
    try {
      await writer.write(path, once(bytes));
      const ref = (await writer.finish()).get(path);
      assert(ref, 'the writer gives a reference for each file that it took in');
      const file = compiledFile({ engine, ref });
      const [sealed = file] = await this.artifacts.seal(
        [file],
        claims,
        () => `${model}/${version}/${path}`,
      );
      // Behind this a majority has it, and only what can be read back counts as stored.
      await claims.assertHeld();
      await this.artifacts.verify(sealed.ref);
      return { engine, release, ref: sealed.ref };
    } catch (error) {
      this.logger.warn(
        { err: error, version: versionId(model, version) },
        'a compiled form was not stored; each load compiles it',
      );
      return undefined;
    } finally {
      await writer.settle();
    }
  }

  /**
   * Puts what was measured and proven anew in the place of what a ready version had.
   *
   * @returns false when the version is no longer ready, or the form could not be stored: then it
   * stays as it was, and nothing else is kept
   */
  async renew(
    version: LoadableVersion,
    engines: EngineReports,
    form: ProvenForm | undefined,
  ): Promise<boolean> {
    const lease = new UploadLease(this.intents, version.model);
    const compiled = form && (await this.write(version, form, lease));
    if (form && !compiled) {
      await this.letGo(lease, undefined);
      return false;
    }
    let before: VersionDoc | null;
    try {
      before = await this.refer({ ...version, engines, compiled }, lease.uploadId);
    } catch (error) {
      // It may have happened all the same, so the bytes stay until the reaper has looked.
      lease.stop();
      throw error;
    }
    await this.letGo(lease, before?.compiled);
    return before !== null;
  }

  /** Looks which bytes of a stored form are damaged, so that the next one is stored on its own. */
  async retire({ compiled }: Pick<LoadableVersion, 'compiled'>): Promise<void> {
    if (compiled) await this.artifacts.retireDamaged([compiled]);
  }

  /** One step with the hold on what it refers to: whoever takes that over comes before or after it. */
  private async refer(version: LoadableVersion, uploadId: ObjectId): Promise<VersionDoc | null> {
    return await inTransaction(this.db, async (session) => {
      const isHeld = !version.compiled || (await this.intents.renew(uploadId, session));
      return isHeld ? await this.versions.setEngines(version, session) : null;
    });
  }

  /**
   * Frees what nobody came to refer to, and what was replaced, as far as the database answers; the
   * reaper and the sweeper take the rest.
   */
  private async letGo(lease: UploadLease, replaced: CompiledRef | undefined): Promise<void> {
    try {
      await lease.end();
      const spare = replaced ? blobsOf([replaced]) : [];
      await this.remover.freeUpload(lease.uploadId, [...lease.uses, ...spare]);
      await lease.release();
    } catch {
      // The intent still stands.
    }
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
