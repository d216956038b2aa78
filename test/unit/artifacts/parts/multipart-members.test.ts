import { Readable } from 'node:stream';

import { readParts } from '../../../../src/artifacts/parts/read-parts';
import { readUpload, refusalOf } from './read-upload';

const FORM = 'multipart/form-data; boundary=frontier';

interface FormPart {
  readonly name?: string | undefined;
  readonly filename?: string;
  readonly type?: string;
  readonly bytes?: string | Buffer;
}

function formPart({ name = 'files', filename, type, bytes = 'contents' }: FormPart): Buffer {
  const disposition = `form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}`;
  return Buffer.concat([
    Buffer.from(`--frontier\r\nContent-Disposition: ${disposition}\r\n`),
    Buffer.from(`${type === undefined ? '' : `Content-Type: ${type}\r\n`}\r\n`),
    Buffer.from(bytes),
    Buffer.from('\r\n'),
  ]);
}

function form(...parts: FormPart[]): Buffer {
  return Buffer.concat([...parts.map(formPart), Buffer.from('--frontier--\r\n')]);
}

describe('a form', () => {
  it('gives its files by their filenames, and its text fields', async () => {
    const { files, fields } = await readUpload(
      FORM,
      form(
        { name: 'metadata', bytes: '{"tags":{}}' },
        { filename: 'model.json', bytes: '{}' },
        { filename: 'sub/gewichte-größe.bin', bytes: Buffer.from([0, 13, 10, 45, 45]) },
        { filename: 'empty', bytes: '' },
        { name: 'note', bytes: 'é' },
      ),
    );

    expect(files).toEqual({
      'model.json': Buffer.from('{}'),
      'sub/gewichte-größe.bin': Buffer.from([0, 13, 10, 45, 45]),
      empty: Buffer.alloc(0),
    });
    expect(fields).toEqual({ metadata: '{"tags":{}}', note: 'é' });
  });

  it.each([1, 7, 100])('is read whole from pieces of %d bytes', async (pieceBytes) => {
    const bytes = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7) % 256));
    const parts = ['a', 'b', 'c'].map((filename) => ({ filename, bytes }));

    const { files } = await readUpload(FORM, form(...parts), { pieceBytes });

    expect(files).toEqual({ a: bytes, b: bytes, c: bytes });
  });

  it.each([
    ['small files are read', 8 * 1024, 10_000, 40],
    ['limit lets empty files be', 0, 100, 1000],
  ])('is taken in no further than its %s', async (_what, fileBytes, maxParts, mostSent) => {
    let sent = 0;
    function* endless(): Generator<Buffer> {
      for (;;) yield formPart({ filename: `${sent++}`, bytes: Buffer.alloc(fileBytes) });
    }
    const body = Readable.from(endless(), { objectMode: false });
    const reader = readParts(
      { contentType: FORM, body },
      { maxBytes: 1e9, maxParts, maxFieldBytes: 0 },
    );

    for await (const part of reader) {
      expect(part.path).toBe('0');
      await new Promise((resolve) => setTimeout(resolve, 200));
      break;
    }

    expect(sent).toBeLessThan(mostSent);
    body.destroy();
  });

  it.each([
    ['climbs', '../a'],
    ['is absolute', '/a'],
    ['is one of Windows', 'C:\\\\a'],
    ['is percent-encoded', '%2e%2e/a'],
  ])('is refused for a filename that %s (39)', async (_how, filename) => {
    const refusal = await refusalOf(FORM, form({ filename }));

    expect(refusal).toMatchObject({ kind: 'invalid', code: 'member_refused' });
  });

  it('is refused for the same path twice (46)', async () => {
    const refusal = await refusalOf(FORM, form({ filename: 'a' }, { filename: './a' }));

    expect(refusal.says).toBe('a: the path stands in the upload twice');
  });

  it.each([
    ['a file with an empty field name', form({ name: '', filename: 'a' }), 'no field name'],
    ['a text field with an empty name', form({ name: '' }), 'has no name'],
    ['a file without a filename', form({ type: 'application/octet-stream' }), 'has no filename'],
    ['a file where a text field belongs', form({ name: 'metadata', filename: 'm' }), 'is text'],
    ['a text field sent twice', form({ name: 'x' }, { name: 'x' }), 'x stands in the form twice'],
    ['no final boundary', formPart({ filename: 'a' }), 'Unexpected end of form'],
    [
      'an end in the middle of a file',
      formPart({ filename: 'a' }).subarray(0, -5),
      'Unexpected end',
    ],
    [
      'an end in the middle of a header',
      formPart({ filename: 'a' }).subarray(0, 30),
      'Unexpected end of form',
    ],
    ['no form at all', Buffer.from('hello'), 'Unexpected end of form'],
    ['an empty body', Buffer.alloc(0), 'Unexpected end of form'],
    [
      'too many files',
      form(...Array.from({ length: 101 }, (_, i) => ({ filename: `${i}` }))),
      'more than 100 files',
    ],
    [
      'too many files without a byte',
      form(...Array.from({ length: 5000 }, (_, i) => ({ filename: `${i}`, bytes: '' }))),
      'more than 100 files',
    ],
    [
      'too many text fields',
      form(...Array.from({ length: 33 }, (_, i) => ({ name: `${i}` }))),
      'more than 32 text fields',
    ],
  ])('is refused for %s (106)', async (_what, body, says) => {
    for (const pieceBytes of [64 * 1024, 11]) {
      const refusal = await refusalOf(FORM, body, { pieceBytes, textFields: ['metadata'] });

      expect(refusal).toMatchObject({ kind: 'bad_syntax', code: 'multipart_malformed' });
      expect(refusal.says).toContain(says);
    }
  });

  it.each([
    ['no boundary', 'multipart/form-data'],
    ['an empty boundary', 'multipart/form-data; boundary=""'],
    ['a boundary of 1 MB', `multipart/form-data; boundary=${'x'.repeat(1e6)}`],
    ['an unreadable content type', 'multipart/form-data; boundary=a; ;='],
  ])('is refused for %s (106)', async (_what, contentType) => {
    const refusal = await refusalOf(contentType, form({ filename: 'a' }));

    expect(refusal).toMatchObject({ kind: 'bad_syntax', code: 'multipart_malformed' });
  });

  it('may hold a text field up to its limit, and no longer one', async () => {
    const field = (length: number): Buffer => form({ name: 'x', bytes: 'x'.repeat(length) });

    expect((await readUpload(FORM, field(1000))).fields['x']).toHaveLength(1000);
    expect(await refusalOf(FORM, field(1001))).toMatchObject({ kind: 'too_large' });
    expect(await refusalOf(FORM, field(9000), { pieceBytes: 50 })).toMatchObject({
      kind: 'too_large',
    });
  });

  it('may hold files up to the limit, and no more (38)', async () => {
    const files = (second: number): Buffer =>
      form(
        { filename: 'a', bytes: Buffer.alloc(4e5) },
        { filename: 'b', bytes: Buffer.alloc(second) },
      );

    expect(Object.keys((await readUpload(FORM, files(6e5))).files)).toEqual(['a', 'b']);
    expect(await refusalOf(FORM, files(6e5 + 1))).toMatchObject({ code: 'too_large' });
  });
});
