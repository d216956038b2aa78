import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';

import * as fflate from 'fflate';

import { readUpload, refusalOf } from './read-upload';
import { forgeZip } from './zip-forge';

const ZIP = 'application/zip';
const TEXT = Buffer.from(Array.from({ length: 2000 }, (_, i) => `${i}\n`).join(''));
const BINARY = Buffer.from(
  Array.from({ length: 700 }, (_, i) => (i * 37 + Math.floor(i / 7)) % 256),
);
const CONTENTS = Buffer.from('contents');
const FILES = { 'm/a.txt': TEXT, 'm/empty': Buffer.alloc(0), 'm/sub/r.bin': BINARY };

function archive(name: string): Buffer {
  return readFileSync(join(__dirname, 'archives', name));
}

/** Sizes and checksum behind the data, as a writer puts them who cannot go back. */
function descriptor(
  bytes: Buffer,
  { signed = true, wide = false, crc = crc32(bytes) } = {},
): Buffer {
  const packed = BigInt(deflateRawSync(bytes).length);
  const block = Buffer.alloc(wide ? 24 : 16);
  block.writeUInt32LE(0x08074b50);
  block.writeUInt32LE(crc, 4);
  if (wide) {
    block.writeBigUInt64LE(packed, 8);
    block.writeBigUInt64LE(BigInt(bytes.length), 16);
  } else {
    block.writeUInt32LE(Number(packed), 8);
    block.writeUInt32LE(bytes.length, 12);
  }
  return signed ? block : block.subarray(4);
}

describe('a zip as its writers write it', () => {
  it.each([
    'python-deflated.zip',
    'python-stored.zip',
    'python-zip64.zip',
    'python-streamed.zip',
    'python-streamed-zip64.zip',
    'infozip.zip',
    'infozip-streamed.zip',
    'infozip-streamed-stored.zip',
  ])('is read whole: %s', async (name) => {
    const { files } = await readUpload(ZIP, archive(name));

    expect(files).toEqual(FILES);
  });

  it.each([1, 7, 100])('is read whole from pieces of %d bytes', async (pieceBytes) => {
    const streamed = await readUpload(ZIP, archive('python-streamed-zip64.zip'), { pieceBytes });
    const wide = await readUpload(ZIP, archive('python-zip64.zip'), { pieceBytes });

    expect(streamed.files).toEqual(FILES);
    expect(wide.files).toEqual(FILES);
  });

  it('is read whole where its only member came through a pipe', async () => {
    const { files } = await readUpload(ZIP, archive('infozip-stdin.zip'));

    expect(files).toEqual({ '-': TEXT });
  });

  it('is read whole from fflate, at once and streamed', async () => {
    const plain = fflate.zipSync({ 'm/a.txt': TEXT, 'm/empty': [new Uint8Array(), { level: 0 }] });
    const pieces: Uint8Array[] = [];
    const zip = new fflate.Zip((_error, piece) => pieces.push(piece));
    const member = new fflate.ZipDeflate('m/a.txt');
    zip.add(member);
    member.push(TEXT.subarray(0, 100));
    member.push(TEXT.subarray(100), true);
    zip.end();

    const atOnce = await readUpload(ZIP, Buffer.from(plain));
    const streamed = await readUpload(ZIP, Buffer.concat(pieces));

    expect(atOnce.files).toEqual({ 'm/a.txt': TEXT, 'm/empty': Buffer.alloc(0) });
    expect(streamed.files).toEqual({ 'm/a.txt': TEXT });
  });

  it.each([
    ['signed', { signed: true }],
    ['unsigned', { signed: false }],
    ['wide', { wide: true }],
    ['wide and unsigned', { wide: true, signed: false }],
  ])('may say sizes behind the data, %s', async (_form, form) => {
    const empty = Buffer.alloc(0);
    const streamed = { flags: 8, crc: 0, rawBytes: 0, compressedBytes: 0 };

    const { files } = await readUpload(
      ZIP,
      forgeZip([
        { ...streamed, name: 'a', descriptor: descriptor(CONTENTS, form) },
        { ...streamed, name: 'b', bytes: empty, descriptor: descriptor(empty, form) },
      ]),
    );

    expect(files).toEqual({ a: CONTENTS, b: empty });
  });

  it('may hold a zip, which is a file like any other (46)', async () => {
    const inner = forgeZip([{ name: '../evil' }]);

    const { files } = await readUpload(ZIP, forgeZip([{ name: 'inner.zip', bytes: inner }]));

    expect(files).toEqual({ 'inner.zip': inner });
  });

  it('may be empty, or carry a comment', async () => {
    expect((await readUpload(ZIP, forgeZip([]))).files).toEqual({});
    expect((await readUpload(ZIP, forgeZip([{ name: 'a' }], { comment: 'hi' }))).files).toEqual({
      a: CONTENTS,
    });
  });

  it('loses what a desktop added to it', async () => {
    const { files } = await readUpload(
      ZIP,
      forgeZip([
        { name: '__MACOSX/m/._a.txt' },
        { name: 'm/.DS_Store' },
        { name: 'm/._a.txt' },
        { name: './m/a.txt' },
      ]),
    );

    expect(Object.keys(files)).toEqual(['m/a.txt']);
  });
});

describe('a zip that lies', () => {
  const differs = 'the directory at the end of the zip differs from what stands before the member';

  it.each([
    ['another checksum in both headers', { crc: 1 }, 'the checksum of its bytes differs'],
    ['another checksum in the directory', { directory: { crc: 1 } }, differs],
    ['another size in the directory', { directory: { rawBytes: 9 } }, differs],
    ['another name in the directory', { directory: { name: 'b' } }, differs],
    ['other flags in the directory', { directory: { flags: 8 } }, differs],
    ['another place in the directory', { directory: { offset: 1 } }, differs],
    ['too small a size', { rawBytes: 3 }, 'holds more than the announced 3 bytes'],
    ['too large a size', { rawBytes: 9 }, 'holds 8 bytes instead of the announced 9'],
    [
      'too large a compressed size',
      { compressedBytes: 11 },
      'the compressed data ends before its announced length',
    ],
    [
      'too small a compressed size',
      { compressedBytes: 5 },
      'the compressed data is damaged: unexpected end of file',
    ],
    [
      'no deflate data',
      { packed: Buffer.alloc(10, 0xff) },
      'the compressed data is damaged: invalid block type',
    ],
    [
      'another checksum behind the data',
      { flags: 8, descriptor: descriptor(CONTENTS, { crc: 1 }) },
      'checksum or sizes of its bytes differ from what stands behind them',
    ],
  ])('is refused for %s (46)', async (_lie, lie, says) => {
    const refusal = await refusalOf(ZIP, forgeZip([{ name: 'a', ...lie }]));

    const path = 'directory' in lie && 'name' in lie.directory ? 'b' : 'a';
    expect(refusal).toEqual({ kind: 'invalid', code: 'archive_damaged', says: `${path}: ${says}` });
  });

  it('is refused for a member that its directory does not list, or lists twice (46)', async () => {
    const unlisted = forgeZip([{ name: 'a' }, { name: 'b', unlisted: true }]);
    const twice = forgeZip([{ name: 'a' }, { name: 'a2', directory: { name: 'a', offset: 0 } }]);
    const none = forgeZip([{ name: 'a', unlisted: true }]);

    expect((await refusalOf(ZIP, unlisted)).says).toMatch(/^b: .*does not list this member$/);
    expect((await refusalOf(ZIP, twice)).says).toBe(`a: ${differs}`);
    expect((await refusalOf(ZIP, none)).says).toBe(': the zip has no directory at its end');
  });

  it('is refused for an end that describes another zip', async () => {
    const says = ': the end of the zip does not describe what came before it';

    expect((await refusalOf(ZIP, forgeZip([{ name: 'a' }], { entries: 2 }))).says).toBe(says);
    expect((await refusalOf(ZIP, forgeZip([{ name: 'a' }], { offset: 2 }))).says).toBe(says);
  });

  it('is refused for bytes after its end (31)', async () => {
    const refusal = await refusalOf(ZIP, forgeZip([{ name: 'a' }], { behind: Buffer.from('x') }));

    expect(refusal.says).toBe(': there are bytes after the end of the zip');
  });

  it('is refused wherever it is cut off', async () => {
    const whole = archive('python-streamed-zip64.zip');

    for (let bytes = 0; bytes < whole.length; bytes += bytes < 100 ? 1 : 61) {
      const refusal = await refusalOf(ZIP, whole.subarray(0, bytes));
      expect(refusal).toMatchObject({ kind: 'invalid', code: 'archive_damaged' });
    }
  });

  it('is refused for being something else', async () => {
    expect((await refusalOf(ZIP, Buffer.from('no zip at all'))).says).toBe(': this is no zip');
    expect((await refusalOf(ZIP, Buffer.alloc(0))).says).toBe(': this is no zip');
  });

  it('never passes with one bit turned', async () => {
    const whole = archive('python-deflated.zip');
    const taken: number[] = [];

    for (let at = 0; at < whole.length; at += 3) {
      const turned = Buffer.from(whole);
      turned.writeUInt8(turned.readUInt8(at) ^ (1 << (at % 8)), at);
      const files = await readUpload(ZIP, turned).then(
        (upload) => upload.files,
        (error: unknown) => {
          // Anything but an error of ours would be a defect, and answered 500.
          expect(error).toMatchObject({ kind: expect.stringMatching(/^(invalid|too_large)$/) });
          return undefined;
        },
      );
      if (files) taken.push(at);
      // Dates and the like may turn; no file's bytes or name can.
      if (files) expect(files).toEqual(FILES);
    }
    expect(taken.length).toBeLessThan(whole.length / 20);
  });
});

describe('a zip with members that must not be taken', () => {
  it.each([
    ['a path that climbs', { name: '../a' }, 'a segment of dots'],
    ['an absolute path', { name: '/a' }, 'the path is absolute'],
    ['a backslash', { name: 'm\\..\\a' }, 'holds a backslash'],
    ['a name that is no UTF-8', { name: 'a\ufffd' }, 'not valid UTF-8'],
    ['a symbolic link', { name: 'a', unixMode: 0o120777 }, 'is a symbolic link'],
    ['a device', { name: 'a', unixMode: 0o020644 }, 'is a device'],
    ['a socket', { name: 'a', unixMode: 0o140644 }, 'is a socket'],
    ['a link of another system', { name: 'a', attributes: 0x400 }, 'is a link'],
    ['encryption', { name: 'a', flags: 1 }, 'is encrypted'],
    ['strong encryption', { name: 'a', flags: 0x41 }, 'is encrypted'],
    ['another method', { name: 'a', method: 14 }, 'is packed by method 14'],
    ['a folder with contents', { name: 'a/' }, 'is a folder with contents of its own'],
  ])('is refused for %s (46)', async (_what, member, says) => {
    const refusal = await refusalOf(ZIP, forgeZip([member]));

    expect(refusal).toMatchObject({ kind: 'invalid', code: 'member_refused' });
    expect(refusal.says).toContain(says);
  });

  it('is refused for two members of one path, however spelled (46)', async () => {
    const twice = [{ name: 'm/\u00e9' }, { name: './m/e\u0301' }];

    expect((await refusalOf(ZIP, forgeZip(twice))).says).toContain('stands in the upload twice');
  });

  it('is refused for too many members, folders and clutter included (46)', async () => {
    const folders = Array.from({ length: 101 }, (_, i) => ({
      name: `${i}/`,
      bytes: Buffer.alloc(0),
    }));

    expect((await refusalOf(ZIP, forgeZip(folders))).says).toContain('more than 100 files');
  });

  it('is refused for a stored member of unsaid size', async () => {
    const refusal = await refusalOf(ZIP, archive('python-streamed-stored.zip'));

    expect(refusal.says).toMatch(/is stored without its size being said first/);
  });
});

describe('a zip that unpacks to too much', () => {
  it('is refused as soon as a member announces it (48)', async () => {
    const bomb = forgeZip([{ name: 'a', rawBytes: 2e6 }]);

    expect(await refusalOf(ZIP, bomb)).toMatchObject({ kind: 'too_large', code: 'too_large' });
  });

  it('is refused at the limit when it announced nothing (48)', async () => {
    const zeros = Buffer.alloc(50e6);
    const bomb = forgeZip([
      { name: 'a', bytes: zeros, flags: 8, rawBytes: 0, compressedBytes: 0, crc: 0 },
    ]);

    expect(await refusalOf(ZIP, bomb)).toMatchObject({ kind: 'too_large', code: 'too_large' });
  });

  it('counts all members together, and clutter too (48)', async () => {
    const half = Buffer.alloc(6e5);
    const bomb = forgeZip([
      { name: '.DS_Store', bytes: half },
      { name: 'b', bytes: half },
    ]);

    expect(await refusalOf(ZIP, bomb)).toMatchObject({ kind: 'too_large' });
  });
});
