import { Inject, Injectable } from '@nestjs/common';

import { ArtifactCorruptError } from '../artifacts/artifact.errors';
import { ArtifactStore } from '../artifacts/artifact.store';
import { type StoreError } from '../common/errors';
import { LOGGER, type Logger } from '../http/logger';
import { VersionResolver } from './version-resolver.service';
import { versionId, VersionsRepository } from './versions.repository';

/**
 * Takes a version out of service when its stored bytes turn out to be damaged, or when it harms
 * whoever runs it.
 *
 * What is in memory already goes on serving where it was checked at load; nothing is loaded or
 * promoted from the damaged copy again, and no upload comes to rely on the damaged bytes.
 */
@Injectable()
export class QuarantineService {
  constructor(
    private readonly versions: VersionsRepository,
    private readonly artifacts: ArtifactStore,
    private readonly resolver: VersionResolver,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Looks at a failure to read a version, and quarantines the version if its bytes are the cause. */
  async report(model: string, version: number, error: unknown): Promise<void> {
    if (!(error instanceof ArtifactCorruptError)) return;
    await this.quarantine(model, version, error);
    const doc = await this.versions.find(model, version);
    // Also when the version was out of service before: nobody may have looked which bytes it is.
    await this.artifacts.retireDamaged(doc?.files ?? []);
  }

  /** Takes a version out of service, for a reason that its document then shows. */
  async quarantine(model: string, version: number, reason: StoreError): Promise<void> {
    const { code, message, details } = reason;
    if (await this.versions.markQuarantined(versionId(model, version), { code, message })) {
      this.logger.error({ model, version, code, details }, 'version quarantined');
    }
    this.resolver.forget(model);
  }
}
