import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { type ServedModel } from './served-models';

/** What a client sends, another one each time. */
export interface SentBody {
  /** In a word, for the question. */
  readonly sent: string;
  readonly contentType: string;
  readonly body: () => string | Buffer;
}

let requests = 0;

/** Stands where each request has a number of its own. */
const MARK = 0.123456789;

/** Every request has an input of its own, so that every input is stored. */
export function asJson(served: ServedModel, rows = 1): SentBody {
  return {
    sent: 'JSON',
    contentType: 'application/json',
    body: bodies({ instances: marked(served, rows) }),
  };
}

/** The same in the Open Inference Protocol: one tensor, its values in one flat list. */
export function asInference(served: ServedModel, rows = 1): SentBody {
  const batch = marked(served, rows);
  const shape = shapeOf(batch);
  const tensor = { name: 'input', shape, datatype: 'FP32', data: batch.flat(shape.length) };
  return {
    sent: 'JSON',
    contentType: 'application/json',
    body: bodies({ inputs: [tensor] }),
  };
}

/** Raw little-endian float32: as many rows as fill the bytes. */
export function asRawRows(rowValues: number, bytes: number): SentBody & { readonly rows: number } {
  const rows = Math.floor(bytes / (rowValues * 4));
  const values = Float32Array.from({ length: rows * rowValues }, (_, at) => (at % 17) / 16);
  const body = (): Buffer => {
    values[0] = ++requests / 2 ** 24;
    return Buffer.from(values.buffer.slice(0));
  };
  return { sent: 'raw float32', contentType: 'application/octet-stream', body, rows };
}

/** A JPEG with another comment each time: decoders do not look at what stands behind its end. */
export const PHOTOGRAPH: SentBody = {
  sent: 'JPEG',
  contentType: 'image/jpeg',
  body: () => Buffer.concat([photograph(), Buffer.from(String(++requests))]),
};

/** Rows of which the first is another one each time. */
function marked({ row }: ServedModel, rows: number): unknown[] {
  return Array.from({ length: rows }, (_, at) => row(at === 0 ? MARK : at / rows));
}

/** Written once: a large row would take the client longer than the service. */
function bodies(request: object): () => string {
  const [before = '', behind = ''] = JSON.stringify(request).split(String(MARK));
  return () => before + String(++requests / 2 ** 24) + behind;
}

function shapeOf(row: unknown): number[] {
  return Array.isArray(row) ? [row.length, ...shapeOf(row[0])] : [];
}

let jpeg: Buffer | undefined;

function photograph(): Buffer {
  const root = process.env['GRIDSTOW_FIXTURES'] ?? join(__dirname, '../../../shared/fixtures');
  jpeg ??= readFileSync(join(root, 'images/cat-rgb.jpg'));
  return jpeg;
}
