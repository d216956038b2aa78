import { once } from 'node:events';
import { type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { Injectable } from '@nestjs/common';
import { type Request, type Response } from 'express';

import { type ArtifactFile } from '../artifacts/artifact';
import { ArtifactStore, type ByteRange } from '../artifacts/artifact.store';
import { isKnown } from '../http/conditional';
import { FileNotFoundError, RangeNotSatisfiableError, VersionNotReadyError } from './models.errors';
import { QuarantineService } from './quarantine.service';
import { type VersionDoc } from './version.doc';
import { VersionLeases } from './version-leases.service';
import { VersionsRepository } from './versions.repository';

/** Gives out files of versions over HTTP, byte for byte, for every route that does. */
@Injectable()
export class VersionFiles {
  constructor(
    private readonly versions: VersionsRepository,
    private readonly artifacts: ArtifactStore,
    private readonly quarantine: QuarantineService,
    private readonly leases: VersionLeases,
  ) {}

  /** Damaged and unfinished versions have no bytes to give out. */
  async getReadable(model: string, version: number): Promise<VersionDoc> {
    const doc = await this.versions.get(model, version);
    if (doc.state === 'ready') return doc;
    throw new VersionNotReadyError(
      `Version ${doc.version} of ${doc.model} is ${doc.state}; only ready versions have files to download`,
      { model: doc.model, version: doc.version, state: doc.state },
    );
  }

  /** @throws FileNotFoundError naming those that there are */
  find(doc: VersionDoc, path: string): ArtifactFile {
    const file = doc.files.find((candidate) => candidate.path === path);
    if (file) return file;
    throw new FileNotFoundError(`Version ${doc.version} of ${doc.model} has no such file`, {
      paths: doc.files.slice(0, 100).map((candidate) => candidate.path),
    });
  }

  /** Answers with a file or a range of it, or says that the caller has it already. */
  async answer(
    doc: VersionDoc,
    file: ArtifactFile,
    request: Request,
    response: Response,
  ): Promise<void> {
    const etag = `"sha256:${file.ref.sha256}"`;
    response.setHeader('ETag', etag);
    response.setHeader('Accept-Ranges', 'bytes');
    response.setHeader('Content-Type', file.contentType);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (isKnown(request, etag)) {
      response.status(304).end();
      return;
    }
    const range = wantedRange(request, file);
    if (range) {
      response.status(206);
      response.setHeader(
        'Content-Range',
        `bytes ${range.start}-${range.end - 1}/${file.ref.rawBytes}`,
      );
    }
    response.setHeader('Content-Length', range ? range.end - range.start : file.ref.rawBytes);
    if (request.method === 'HEAD') response.end();
    else await this.send(doc, file, range, response);
  }

  private async send(
    doc: VersionDoc,
    file: ArtifactFile,
    range: ByteRange | undefined,
    response: Response,
  ): Promise<void> {
    const bytes = this.artifacts.open(file.ref, range);
    // Whoever waits for them hears of it; until then nobody does.
    bytes.on('error', () => undefined);
    // Of a small file the round trips of its lease are a good part, so its bytes travel meanwhile. Who
    // finds the version ready under the lease has read nothing that was going.
    const begun = once(bytes, 'readable');
    begun.catch(() => undefined);
    try {
      await this.leases.holdWhile(doc, 'download', async () => {
        await this.sendHeld(doc, bytes, begun, response);
      });
    } finally {
      bytes.destroy();
    }
  }

  private async sendHeld(
    doc: VersionDoc,
    bytes: Readable,
    begun: Promise<unknown>,
    response: Response,
  ): Promise<void> {
    try {
      // A file that turns out damaged at once can still be answered with an error.
      await begun;
      await pipeline(bytes, response);
    } catch (error) {
      await this.fail(doc, error, response);
    }
  }

  /** Reports what broke a download, and throws it, unless it was the reader who went away. */
  async fail(doc: VersionDoc, error: unknown, response: Response): Promise<void> {
    // The reader went away: nobody is left to be told anything.
    if (response.destroyed && !response.writableFinished && isPrematureClose(error)) return;
    await this.quarantine.report(doc.model, doc.version, error);
    throw error;
  }
}

/** The one range asked for; several are answered with the whole file, as RFC 9110 (14.2) allows. */
function wantedRange(request: Request, { ref }: ArtifactFile): ByteRange | undefined {
  const ifRange = request.header('If-Range');
  if (ifRange !== undefined && ifRange !== `"sha256:${ref.sha256}"`) return undefined;
  if (asksForWholeEnd(request.header('Range'), ref.rawBytes)) {
    return { start: 0, end: ref.rawBytes };
  }
  const ranges = request.range(ref.rawBytes);
  if (ranges === -1) {
    throw new RangeNotSatisfiableError(
      `The file has ${ref.rawBytes} bytes; the range lies outside`,
      {
        bytes: ref.rawBytes,
      },
    );
  }
  if (!Array.isArray(ranges) || ranges.type !== 'bytes' || ranges.length !== 1) return undefined;
  const [only] = ranges;
  return only ? { start: only.start, end: only.end + 1 } : undefined;
}

/** The last bytes, more than there are: that is all of them (RFC 9110, 14.1.2). */
function asksForWholeEnd(range: string | undefined, bytes: number): boolean {
  const suffix = /^\s*bytes\s*=\s*-(\d+)\s*$/i.exec(range ?? '')?.[1];
  return suffix !== undefined && bytes > 0 && Number(suffix) >= bytes;
}

function isPrematureClose(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'ERR_STREAM_PREMATURE_CLOSE';
}
