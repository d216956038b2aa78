import { createHash } from 'node:crypto';

import { Inject, Injectable } from '@nestjs/common';
import { type Request, type Response } from 'express';

import { canonicalJson } from '../common/canonical-json';
import { StoreError } from '../common/errors';
import {
  IdempotencyKeyInFlightError,
  IdempotencyKeyInvalidError,
  IdempotencyKeyReusedError,
  RepeatedRefusalError,
} from './idempotency.errors';
import {
  ATTEMPT_LEASE_MS,
  type Claim,
  IdempotencyRepository,
  type Settled,
} from './idempotency.repository';
import { LOGGER, type Logger } from './logger';

/** An answer as far as it can be given again. */
export interface KeyedAnswer<T> {
  readonly status: number;
  readonly body: T;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request under an idempotency key, and how to tell whether it says the same as another. */
export interface KeyedWork<T> {
  /**
   * SHA-256 over what the body says, not over how it is framed. Asked for after `run`, and without
   * `run` when there is an answer already: then it has to read the body. Null: it was not read to
   * its end, so nobody can say.
   */
  readonly fingerprint: () => Promise<string | null>;
  readonly run: () => Promise<KeyedAnswer<T>>;
  /** Refusals that a repetition must hear again, because the first left something behind. */
  readonly isFinal?: (error: StoreError) => boolean;
}

/**
 * `Idempotency-Key`: of requests that say the same under one key, one is carried out.
 *
 * While it is at work others hear 409, afterwards what it was answered; the same key with another
 * body is refused. An attempt that ended without a final answer leaves nothing: the next one is
 * carried out, so what `run` does must come to the same end when it is repeated after a crash.
 */
@Injectable()
export class Idempotency {
  constructor(
    private readonly keys: IdempotencyRepository,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Does the work, or gives the answer that it had; sets status and headers of the response. */
  async answer<T>(request: Request, response: Response, work: KeyedWork<T>): Promise<T> {
    const key = idempotencyKeyOf(request);
    const { status, body, headers } =
      key === undefined ? await work.run() : await this.once(key, request, response, work);
    for (const [name, value] of Object.entries(headers ?? {})) response.setHeader(name, value);
    response.status(status);
    return body;
  }

  private async once<T>(
    key: string,
    request: Request,
    response: Response,
    work: KeyedWork<T>,
  ): Promise<KeyedAnswer<T>> {
    const claim = await this.keys.claim(key, `${request.method} ${request.originalUrl}`);
    if (claim.kind === 'ours') return await this.carryOut(key, claim, work);
    if (claim.kind === 'other_request') throw reused(key);
    if (claim.kind === 'at_work') throw atWork(key, claim.leaseUntil);
    const { fingerprint, outcome } = claim.settled;
    if ((await work.fingerprint()) !== fingerprint) throw reused(key);
    response.setHeader('Idempotency-Replayed', 'true');
    if ('refusal' in outcome) throw new RepeatedRefusalError(outcome.refusal);
    return { ...outcome, body: JSON.parse(outcome.body) as T };
  }

  private async carryOut<T>(
    key: string,
    { attempt }: Extract<Claim, { kind: 'ours' }>,
    work: KeyedWork<T>,
  ): Promise<KeyedAnswer<T>> {
    const renewal = setInterval(() => {
      // A renewal that fails is not the end: whoever takes over comes to the same result.
      this.keys.renew(key, attempt).catch(() => undefined);
    }, ATTEMPT_LEASE_MS / 3);
    renewal.unref();
    try {
      const answer = await work.run();
      await this.settle(key, attempt, work, { ...answer, headers: answer.headers ?? {} });
      return answer;
    } catch (error) {
      await this.settleRefusal(key, attempt, work, error).catch((cause: unknown) => {
        this.logger.debug({ err: cause }, 'an idempotency key could not be released');
      });
      throw error;
    } finally {
      clearInterval(renewal);
    }
  }

  private async settle<T>(
    key: string,
    attempt: Extract<Claim, { kind: 'ours' }>['attempt'],
    work: KeyedWork<T>,
    { status, body, headers }: Required<KeyedAnswer<T>>,
  ): Promise<void> {
    const fingerprint = await work.fingerprint();
    if (fingerprint === null) return;
    const outcome: Settled['outcome'] = { status, body: JSON.stringify(body), headers };
    await this.keys.settle(key, attempt, { fingerprint, outcome });
  }

  private async settleRefusal<T>(
    key: string,
    attempt: Extract<Claim, { kind: 'ours' }>['attempt'],
    work: KeyedWork<T>,
    error: unknown,
  ): Promise<void> {
    if (error instanceof StoreError && work.isFinal?.(error) === true) {
      const { kind, code, message, details } = error;
      const fingerprint = await work.fingerprint();
      if (fingerprint !== null) {
        const outcome = { refusal: { kind, code, message, details } };
        if (await this.keys.settle(key, attempt, { fingerprint, outcome })) return;
      }
    }
    await this.keys.release(key, attempt);
  }
}

/** The fingerprint of a JSON body: equal values, however they are written, are the same. */
export function fingerprintOf(value: unknown): () => Promise<string> {
  return async () =>
    await Promise.resolve(createHash('sha256').update(canonicalJson(value)).digest('hex'));
}

/** @throws IdempotencyKeyInvalidError */
export function idempotencyKeyOf(request: Request): string | undefined {
  const key = request.header('Idempotency-Key');
  if (key === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new IdempotencyKeyInvalidError(
      'Idempotency-Key takes 1 to 255 visible ASCII characters without spaces',
    );
  }
  return key;
}

function reused(key: string): IdempotencyKeyReusedError {
  return new IdempotencyKeyReusedError(
    'This idempotency key was used for another request; take a new key for each thing to do',
    { key },
  );
}

function atWork(key: string, leaseUntil: Date): IdempotencyKeyInFlightError {
  const leftMs = Math.min(Math.max(leaseUntil.getTime() - Date.now(), 0), ATTEMPT_LEASE_MS);
  return new IdempotencyKeyInFlightError(
    'The first request with this idempotency key is still at work; ask again in a moment',
    { key, retryAfterSeconds: Math.max(1, Math.ceil(leftMs / 5_000)) },
  );
}
