import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnModuleInit,
} from '@nestjs/common';

import { LOGGER, type Logger } from '../http/logger';
import { CompiledForms } from '../models/compiled-forms.service';
import { type EngineReports, type LoadableVersion } from '../models/version';
import { toLoadable } from '../models/version.doc';
import { VersionResolver } from '../models/version-resolver.service';
import { VersionsRepository } from '../models/versions.repository';
import { OneAtATime } from './engines/one-at-a-time';
import { versionKey } from './executor-protocol';
import { ModelRuntime } from './model-runtime.service';

/**
 * Measures, compiles and proves versions anew, beside the traffic, which goes on with the engines
 * that are known to work.
 *
 * A version whose compiled form is missing, of another release of the compiler or damaged is found
 * by its load. One version at a time, so that an upload never waits for more than one of them, and
 * none twice for the same reason; what fails is left to the next load.
 */
@Injectable()
export class VersionRenewal implements OnModuleInit, BeforeApplicationShutdown {
  private readonly turn = new OneAtATime();
  private readonly underWay = new Map<string, Promise<EngineReports | null>>();
  private readonly seen = new Set<string>();
  private storing: Promise<boolean> | undefined;
  private isClosing = false;

  constructor(
    private readonly runtime: ModelRuntime,
    private readonly forms: CompiledForms,
    private readonly versions: VersionsRepository,
    private readonly resolver: VersionResolver,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  onModuleInit(): void {
    this.runtime.watchLoads((version, damage) => {
      if (damage !== null || this.runtime.lacksForm(version)) void this.look(version, damage);
    });
  }

  /** What is being stored is finished, what is being tried is given up with the executors. */
  async beforeApplicationShutdown(): Promise<void> {
    this.isClosing = true;
    await this.storing?.catch(() => undefined);
  }

  /** @returns what was found out and stored; null when it could not be, or the version is gone */
  async renew(version: LoadableVersion): Promise<EngineReports | null> {
    const key = versionKey(version);
    const known = this.underWay.get(key);
    if (known) return await known;
    const renewing = this.turn
      .run(async () => await this.renewNow(version))
      .finally(() => this.underWay.delete(key));
    this.underWay.set(key, renewing);
    return await renewing;
  }

  private async renewNow(version: LoadableVersion): Promise<EngineReports | null> {
    try {
      const { engines, form } = await this.runtime.testLoad(version);
      // Executors that were stopped meanwhile say nothing about the version.
      if (this.isClosing) return null;
      this.storing = this.forms.renew(version, engines, form);
      if (!(await this.storing)) return null;
      this.resolver.forget(version.model);
      return engines;
    } catch (error) {
      this.logger.info({ err: error, version: versionKey(version) }, 'engines were not measured');
      return null;
    }
  }

  /** Renews a version for what its load has shown, unless it was replaced meanwhile. */
  private async look(loaded: LoadableVersion, damage: string | null): Promise<void> {
    const form = formOf(loaded);
    const reason = `${versionKey(loaded)} ${form} ${damage === null ? 'stale' : 'damaged'}`;
    if (this.seen.has(reason)) return;
    this.seen.add(reason);
    const isDone = await this.renewAsIs(loaded, damage).catch(() => false);
    if (!isDone) this.seen.delete(reason);
  }

  private async renewAsIs(loaded: LoadableVersion, damage: string | null): Promise<boolean> {
    const { model, version } = loaded;
    const doc = await this.versions.find(model, version);
    if (doc?.state !== 'ready') return true;
    const current = toLoadable(doc);
    if (damage === null) {
      if (!this.runtime.lacksForm(current)) return true;
    } else {
      if (formOf(current) !== formOf(loaded)) return true;
      this.logger.warn(
        { model, version, damage },
        'a stored compiled form is damaged; it is compiled again and stored anew',
      );
      await this.forms.retire(current);
    }
    return (await this.renew(current)) !== null;
  }
}

/** Which bytes a version's form is. */
function formOf({ compiled }: LoadableVersion): string {
  return compiled?.ref.segments.map(({ blob }) => blob.toHexString()).join() ?? '';
}
