import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import { Controller, Get, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { LOGGER, type Logger } from '../http/logger';
import { flag, oneOf, readQuery, textThat } from '../http/query';
import { EXPORT_COLUMNS } from './export-columns';
import { csvRow, toCaptureLine, toRecordLine, toTruthLine } from './export-lines';
import { toParquet } from './export-parquet';
import { ExportPredictionsDocs, ImportPredictionsDocs } from './export.docs';
import { type ExportedPrediction, PredictionExport } from './prediction-export.service';
import { isPredictionId } from './prediction-id';
import { type ImportCount, PredictionImport } from './prediction-import.service';
import { assertUsable, badQuery, PREDICTION_FILTERS } from './prediction-query';

export const EXPORT_FORMATS = {
  ndjson: 'application/x-ndjson',
  csv: 'text/csv; charset=utf-8',
  parquet: 'application/vnd.apache.parquet',
  'sagemaker-capture': 'application/x-ndjson',
  'sagemaker-truth': 'application/x-ndjson',
} as const;
type ExportFormat = keyof typeof EXPORT_FORMATS;

const PARAMETERS = {
  ...PREDICTION_FILTERS,
  format: oneOf(Object.keys(EXPORT_FORMATS) as ExportFormat[]),
  after: textThat(isPredictionId, 'an id of a prediction'),
  inputs: flag,
  values: oneOf(['json', 'base64']),
};

/** Lines are handed on in pieces of this size: one piece a line would cost more than the lines. */
const PIECE_CHARACTERS = 64 * 1024;

@ApiTags('predictions')
@Controller('api/predictions')
export class ExportController {
  constructor(
    private readonly exporter: PredictionExport,
    private readonly importer: PredictionImport,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  @Get('export')
  @ExportPredictionsDocs()
  async export(@Req() request: Request, @Res() response: Response): Promise<void> {
    const query = readQuery(request, PARAMETERS);
    const { format = 'ndjson', after, inputs = false, values = 'json', ...filter } = query;
    assertUsable(filter);
    if (format !== 'ndjson' && (inputs || values === 'base64')) {
      throw badQuery(inputs ? 'inputs' : 'values', 'is for format=ndjson only');
    }
    const withInputs = inputs || format === 'sagemaker-capture';
    const records = this.exporter.read(filter, {
      withInputs,
      ...(after === undefined ? {} : { after: after.toLowerCase() }),
    });
    // The first record is read before the head goes out: a database that is away is then a 503.
    const pieces = await begun(encode(records, format, values === 'base64'));
    response.setHeader('Content-Type', EXPORT_FORMATS[format]);
    response.setHeader('Content-Disposition', `attachment; filename="${filenameOf(format)}"`);
    response.setHeader('Cache-Control', 'no-store');
    response.setHeader('Vary', 'Accept-Encoding');
    const source = Readable.from(pieces, { objectMode: false, highWaterMark: PIECE_CHARACTERS });
    try {
      // Parquet is compressed already, column by column.
      if (format !== 'parquet' && request.acceptsEncodings('gzip', 'identity') === 'gzip') {
        response.setHeader('Content-Encoding', 'gzip');
        await pipeline(source, createGzip(), response);
      } else {
        await pipeline(source, response);
      }
    } catch (error) {
      // The connection is cut by now, which tells the client that there is more.
      if (!response.destroyed || response.writableFinished) throw error;
      this.logger.warn({ err: error }, 'an export ended early');
    }
  }

  @Post('import')
  @HttpCode(200)
  @ImportPredictionsDocs()
  async import(@Req() request: Request): Promise<ImportCount> {
    readQuery(request, {});
    return await this.importer.take(request);
  }
}

function filenameOf(format: ExportFormat): string {
  return format === 'csv' || format === 'parquet'
    ? `predictions.${format}`
    : `${format === 'ndjson' ? 'predictions' : format}.jsonl`;
}

function encode(
  records: AsyncIterable<ExportedPrediction>,
  format: ExportFormat,
  exact: boolean,
): AsyncGenerator<Uint8Array | string> {
  switch (format) {
    case 'ndjson':
      return gathered(records, (record) => toRecordLine(record, exact));
    case 'csv':
      return gathered(records, toCsvLine, `${csvRow(EXPORT_COLUMNS.map(({ name }) => name))}\r\n`);
    case 'parquet':
      return toParquet(answersOf(records));
    case 'sagemaker-capture':
      return gathered(records, toCaptureLine);
    case 'sagemaker-truth':
      return gathered(records, toTruthLine);
  }
}

async function* answersOf(records: AsyncIterable<ExportedPrediction>) {
  for await (const { answer } of records) yield answer;
}

function toCsvLine({ answer }: ExportedPrediction): string {
  const cells = EXPORT_COLUMNS.map(({ read }) => read(answer) ?? null);
  return `${csvRow(cells.map((cell) => (cell instanceof Date ? cell.toISOString() : cell)))}\r\n`;
}

async function* gathered(
  records: AsyncIterable<ExportedPrediction>,
  toLine: (record: ExportedPrediction) => string,
  head = '',
): AsyncGenerator<string> {
  let piece = head;
  for await (const record of records) {
    piece += toLine(record);
    if (piece.length < PIECE_CHARACTERS) continue;
    yield piece;
    piece = '';
  }
  if (piece !== '') yield piece;
}

/** The same items, the first of which has been read. */
async function begun<T>(items: AsyncGenerator<T>): Promise<AsyncGenerator<T>> {
  const first = await items.next();
  return (async function* () {
    if (first.done === true) return;
    yield first.value;
    yield* items;
  })();
}
