import { hostname } from 'node:os';

import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type ObjectId } from 'mongodb';

import { VersionNotReadyError } from './models.errors';
import {
  type LeasePurpose,
  VERSION_LEASE_MS,
  VersionLeasesRepository,
} from './version-leases.repository';
import { versionId, VersionsRepository } from './versions.repository';

interface Held {
  readonly lease: Promise<ObjectId>;
  readers: number;
}

/**
 * Keeps the bytes of a version where they are while this process reads them.
 *
 * The lease is written first and the version looked at afterwards, a deletion does it the other
 * way round, so one of the two always sees the other. Readers of one version for one purpose share
 * a lease: a read costs at most one write before and one after, and predictions none.
 */
@Injectable()
export class VersionLeases implements OnApplicationShutdown {
  private readonly held = new Map<string, Held>();
  private readonly holder = `${hostname()}:${process.pid}`;
  private renewal: NodeJS.Timeout | undefined;

  constructor(
    private readonly leases: VersionLeasesRepository,
    private readonly versions: VersionsRepository,
  ) {}

  /** @throws VersionNotReadyError when the version is no longer there to be read */
  async holdWhile<T>(
    { model, version }: { readonly model: string; readonly version: number },
    purpose: LeasePurpose,
    work: () => Promise<T>,
  ): Promise<T> {
    const key = `${versionId(model, version)} ${purpose}`;
    const held = this.join(key, versionId(model, version), purpose);
    try {
      await held.lease;
      const state = await this.versions.findState(model, version);
      if (state !== 'ready') {
        throw new VersionNotReadyError(
          `Version ${version} of ${model} is ${state ?? 'gone'} and can no longer be read`,
          { model, version, state },
        );
      }
      return await work();
    } finally {
      await this.leave(key, held);
    }
  }

  /** What is still being read is given up with the process. */
  onApplicationShutdown(): void {
    clearInterval(this.renewal);
  }

  private join(key: string, version: string, purpose: LeasePurpose): Held {
    const known = this.held.get(key);
    const held = known ?? { lease: this.leases.take(version, purpose, this.holder), readers: 0 };
    held.readers++;
    this.held.set(key, held);
    this.renewal ??= setInterval(() => {
      // A renewal that fails is made good by the next: a lease outlives two of them.
      this.renew().catch(() => undefined);
    }, VERSION_LEASE_MS / 3).unref();
    return held;
  }

  private async leave(key: string, held: Held): Promise<void> {
    if (--held.readers > 0) return;
    this.held.delete(key);
    if (this.held.size === 0) {
      clearInterval(this.renewal);
      this.renewal = undefined;
    }
    try {
      await this.leases.release(await held.lease);
    } catch {
      // It was never written, or runs out by itself.
    }
  }

  private async renew(): Promise<void> {
    const leases = await Promise.allSettled([...this.held.values()].map(({ lease }) => lease));
    const ids = leases.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    if (ids.length > 0) await this.leases.renew(ids);
  }
}
