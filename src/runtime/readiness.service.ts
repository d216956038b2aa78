import { Injectable } from '@nestjs/common';

import { type DatabaseHealth, DatabaseService } from '../mongo/database.service';
import { LiveVersions } from './live-versions.service';
import { type EngineDescription, ModelRuntime } from './model-runtime.service';

/** Whether requests can be served now. */
export interface ReadinessState {
  /** Why they cannot; empty when they can. */
  readonly reasons: readonly string[];
  readonly database: DatabaseHealth;
  readonly engine: EngineDescription;
}

/** The one judgement of readiness, for every protocol that is asked for it. */
@Injectable()
export class Readiness {
  constructor(
    private readonly database: DatabaseService,
    private readonly runtime: ModelRuntime,
    private readonly liveVersions: LiveVersions,
  ) {}

  async state(): Promise<ReadinessState> {
    const [database, engine] = [await this.database.health(), this.runtime.describe()];
    const reasons = [
      ...(database.ok ? [] : [database.reason ?? 'The database does not answer']),
      ...(engine.ready ? [] : [engine.why]),
      ...(this.liveVersions.isSettled ? [] : ['The live versions are being loaded']),
    ];
    return { reasons, database, engine };
  }
}
