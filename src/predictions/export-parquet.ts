import { ByteWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer';

import { EXPORT_COLUMNS } from './export-columns';
import { type PredictionAnswer } from './prediction.answer';

/** Rows of a group: what is kept in memory until it is written. */
const GROUP_ROWS = 2_000;
/** Outputs of wide models make a group full before it has its rows. */
const GROUP_CHARACTERS = 8 * 1024 * 1024;

type Cells = Record<string, string | number | Date | null>;

/** A Parquet file of records, group by group; memory grows by some bytes of index per group only. */
export async function* toParquet(
  answers: AsyncIterable<PredictionAnswer>,
): AsyncGenerator<Uint8Array> {
  const writer = new ByteWriter();
  const schema = schemaFromColumnData({ columnData: columnsOf([]) });
  const parquet = new ParquetWriter({ writer, schema });
  let rows: Cells[] = [];
  let characters = 0;
  const takeBytes = (): Uint8Array => {
    const bytes = writer.getBytes().slice();
    writer.index = 0;
    return bytes;
  };
  for await (const answer of answers) {
    const row = toCells(answer);
    rows.push(row);
    characters += String(row['outputs'] ?? '').length;
    if (rows.length < GROUP_ROWS && characters < GROUP_CHARACTERS) continue;
    void parquet.write({ columnData: columnsOf(rows), rowGroupSize: GROUP_ROWS });
    yield takeBytes();
    rows = [];
    characters = 0;
  }
  if (rows.length > 0) {
    void parquet.write({ columnData: columnsOf(rows), rowGroupSize: GROUP_ROWS });
  }
  void parquet.finish();
  yield takeBytes();
}

function toCells(answer: PredictionAnswer): Cells {
  return Object.fromEntries(EXPORT_COLUMNS.map(({ name, read }) => [name, read(answer) ?? null]));
}

function columnsOf(rows: readonly Cells[]) {
  return EXPORT_COLUMNS.map(({ name, type }) => ({
    name,
    type,
    nullable: true,
    data: rows.map((row) => row[name]),
  }));
}
