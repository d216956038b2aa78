import { Inject, Injectable } from '@nestjs/common';

import { ArtifactStore } from '../artifacts/artifact.store';
import { StoreError } from '../common/errors';
import { DEFAULT_ALIAS } from '../common/model-ref';
import { AliasMovesRepository, type AliasMoveDoc, type MoveKind } from './alias-moves.repository';
import {
  AliasMovedError,
  AliasNotFoundError,
  NoPreviousVersionError,
  RevisionMismatchError,
  TargetUnfitError,
  VersionNotReadyError,
} from './models.errors';
import { ModelsRepository } from './models.repository';
import { TEST_LOADER, type TestLoader } from './test-loader.port';
import { VersionResolver } from './version-resolver.service';
import { isIntact, toLoadable, type VersionDoc } from './version.doc';
import { VersionsRepository } from './versions.repository';

/** Tries of a move without `If-Match` that keeps losing to others. */
const MOVE_ATTEMPTS = 5;

export interface MoveOptions {
  readonly movedBy: string;
  readonly reason: string;
  /** The revision that the caller saw; the move fails when it is no longer the newest. */
  readonly ifRevision?: number;
  /** Of requests under one key only one moves: the answer to the others is that move. */
  readonly requestKey?: string;
}

/** How long an idempotency key stands for the same request. */
const KEY_LIFE_MS = 24 * 3_600_000;

/** Where a rollback goes. */
export type RollbackTarget = 'previous' | number | { readonly at: Date };

/**
 * Aliases and their history.
 *
 * An alias is its newest move: moves are appended, each with the next revision, so history is
 * linear whoever races. With each move goes the pin on the version it points at, in one
 * transaction, so nothing that an alias holds can be deleted. The target is proven and warm before
 * the move, so traffic never meets a version that cannot answer.
 */
@Injectable()
export class AliasesService {
  constructor(
    private readonly moves: AliasMovesRepository,
    private readonly models: ModelsRepository,
    private readonly versions: VersionsRepository,
    private readonly artifacts: ArtifactStore,
    private readonly resolver: VersionResolver,
    @Inject(TEST_LOADER) private readonly testLoader: TestLoader,
  ) {}

  /** The move that decides where an alias points now. */
  async get(model: string, alias: string): Promise<AliasMoveDoc> {
    return await this.pointing(model, alias, await this.moves.findNewest(model, alias));
  }

  /** The move that decided where an alias pointed at a time. */
  async getAt(model: string, alias: string, time: Date): Promise<AliasMoveDoc> {
    return await this.pointing(model, alias, await this.moves.findAt(model, alias, time));
  }

  /** Every move, newest first. */
  async listHistory(
    model: string,
    alias: string,
    page: { readonly limit: number; readonly before?: number },
  ): Promise<AliasMoveDoc[]> {
    await this.models.assertExists(model);
    const moves = await this.moves.list(model, alias, page);
    if (moves.length === 0 && page.before === undefined) throw aliasNotFound(model, alias);
    return moves;
  }

  /** Aliases by the version that they point at. */
  async aliasesByVersion(model: string): Promise<Map<number, string[]>> {
    const byVersion = new Map<number, string[]>();
    for (const { alias, version } of await this.moves.listPointers(model)) {
      if (version !== null) byVersion.set(version, [...(byVersion.get(version) ?? []), alias]);
    }
    return byVersion;
  }

  /** Points `live` at the first version of a model that became ready; does nothing afterwards. */
  async pointFirst(model: string, version: number): Promise<void> {
    const [newest, doc] = await Promise.all([
      this.moves.findNewest(model, DEFAULT_ALIAS),
      this.models.find(model),
    ]);
    // A model that was deleted and uploaded again starts anew; an alias taken away stays away.
    const lastSeen = newest?.version ?? newest?.from ?? 0;
    if (!doc || (newest && lastSeen >= doc.firstVersion)) return;
    await this.tryMove(
      model,
      DEFAULT_ALIAS,
      version,
      'first',
      { movedBy: 'gridstow', reason: 'first version' },
      newest,
    );
  }

  async promote(
    model: string,
    alias: string,
    version: number,
    options: MoveOptions,
  ): Promise<AliasMoveDoc> {
    await this.models.assertExists(model);
    const before = await this.movedBefore(model, alias, options);
    if (before) return before;
    await this.prove(await this.versions.get(model, version));
    return await this.move(model, alias, version, 'promote', options);
  }

  /** @throws TargetUnfitError, AliasMovedError and others; nothing has changed then */
  async rollback(
    model: string,
    alias: string,
    target: RollbackTarget,
    options: MoveOptions,
  ): Promise<{ readonly from: number | null; readonly move: AliasMoveDoc }> {
    await this.models.assertExists(model);
    const before = await this.movedBefore(model, alias, options);
    if (before) return { from: before.from, move: before };
    const current = await this.get(model, alias);
    const version = await this.targetOf(current, target);
    const doc = await this.versions.get(model, version);
    await this.prove(doc);
    for (const { ref } of doc.files) {
      await this.artifacts.verify(ref).catch((cause: unknown) => {
        throw unfit(doc, cause);
      });
    }
    try {
      // The revision that the target was worked out from: a move in between must not be undone unseen.
      const ifRevision = current.revision;
      const move = await this.move(model, alias, version, 'rollback', { ...options, ifRevision });
      return { from: current.version, move };
    } catch (error) {
      if (!(error instanceof RevisionMismatchError)) throw error;
      throw new AliasMovedError(
        'The alias moved while the rollback was prepared; look and try again',
        error.details,
      );
    }
  }

  /** Takes an alias away; its history stays, and its revisions go on from there. */
  async remove(model: string, alias: string, options: MoveOptions): Promise<void> {
    await this.get(model, alias);
    await this.move(model, alias, null, 'remove', options);
  }

  /** What a request under the same key did, when its process died before it could say so. */
  private async movedBefore(
    model: string,
    alias: string,
    { requestKey }: MoveOptions,
  ): Promise<AliasMoveDoc | null> {
    if (requestKey === undefined) return null;
    const since = new Date(Date.now() - KEY_LIFE_MS);
    return await this.moves.findByRequest(model, alias, requestKey, since);
  }

  private async targetOf(current: AliasMoveDoc, target: RollbackTarget): Promise<number> {
    if (typeof target === 'number') return target;
    const { model, alias } = current;
    if (target === 'previous') {
      if (current.from !== null) return current.from;
      throw new NoPreviousVersionError(
        `The newest move of alias ${alias} of ${model} came from nowhere; name a version or a time instead`,
        {
          model,
          alias,
        },
      );
    }
    const { version } = await this.getAt(model, alias, target.at);
    return version ?? 0;
  }

  /** Nothing may point at a version that is not ready, altered, or cannot answer. */
  private async prove(doc: VersionDoc): Promise<void> {
    if (doc.state !== 'ready') {
      throw new VersionNotReadyError(
        `Version ${doc.version} of ${doc.model} is ${doc.state}, not ready`,
        { model: doc.model, version: doc.version, state: doc.state },
      );
    }
    if (!isIntact(doc)) throw unfit(doc, undefined);
    try {
      await this.testLoader.warm(toLoadable(doc));
    } catch (cause) {
      throw unfit(doc, cause);
    }
  }

  private async move(
    model: string,
    alias: string,
    version: number | null,
    kind: MoveKind,
    options: MoveOptions,
  ): Promise<AliasMoveDoc> {
    for (let attempt = 1; attempt <= MOVE_ATTEMPTS; attempt++) {
      const current = await this.moves.findNewest(model, alias);
      assertRevision(alias, current, options.ifRevision);
      // Where it already points: the wish is fulfilled, and history holds moves only.
      if (current?.version === version) return current;
      const moved = await this.tryMove(model, alias, version, kind, options, current);
      if (moved) return moved;
    }
    throw new AliasMovedError(`Alias ${alias} of ${model} is being moved by others; try again`, {
      model,
      alias,
    });
  }

  /** One attempt; null when another move came first. */
  private async tryMove(
    model: string,
    alias: string,
    version: number | null,
    kind: MoveKind,
    { movedBy, reason, requestKey }: MoveOptions,
    current: AliasMoveDoc | null,
  ): Promise<AliasMoveDoc | null> {
    const move = {
      model,
      alias,
      revision: (current?.revision ?? 0) + 1,
      kind,
      from: current?.version ?? null,
      version,
      // Times follow revisions even when a clock steps back: `?at=` relies on it.
      movedAt: new Date(Math.max(Date.now(), current?.movedAt.getTime() ?? 0)),
      movedBy,
      reason,
      ...(requestKey === undefined ? {} : { requestKey }),
    };
    const outcome = await this.moves.append(move);
    this.resolver.forget(model);
    if (outcome === 'not_ready') {
      throw new VersionNotReadyError(`Version ${version ?? 0} of ${model} is not ready`, {
        model,
        version,
      });
    }
    return outcome === 'moved' ? await this.moves.findNewest(model, alias) : null;
  }

  private async pointing(
    model: string,
    alias: string,
    move: AliasMoveDoc | null,
  ): Promise<AliasMoveDoc> {
    if (typeof move?.version === 'number') return move;
    await this.models.assertExists(model);
    throw aliasNotFound(model, alias);
  }
}

function aliasNotFound(model: string, alias: string): AliasNotFoundError {
  return new AliasNotFoundError(`Model ${model} has no alias ${alias}`, { model, alias });
}

function unfit(doc: VersionDoc, cause: unknown): StoreError {
  // A database or an executor that is busy says nothing about the version.
  if (
    cause instanceof StoreError &&
    (cause.kind === 'unavailable' || cause.kind === 'overloaded')
  ) {
    return cause;
  }
  const why = cause instanceof Error ? cause.message : 'its document was altered';
  return new TargetUnfitError(
    `Version ${doc.version} of ${doc.model} cannot take over: ${why}`,
    { model: doc.model, version: doc.version },
    { cause },
  );
}

function assertRevision(alias: string, current: AliasMoveDoc | null, expected?: number): void {
  const revision = current?.revision ?? 0;
  if (expected !== undefined && expected !== revision) {
    throw new RevisionMismatchError(`Alias ${alias} is at revision ${revision}, not ${expected}`, {
      revision,
      expected,
    });
  }
}
