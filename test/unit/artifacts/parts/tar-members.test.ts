import { Readable } from 'node:stream';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

import { pack, type Pack } from 'tar-stream';

import { readUpload, refusalOf } from './read-upload';

const TAR = 'application/x-tar';
const TAR_GZ = 'application/gzip';
const TEXT = Buffer.from(Array.from({ length: 2000 }, (_, i) => `${i}\n`).join(''));
const BINARY = Buffer.from(
  Array.from({ length: 700 }, (_, i) => (i * 37 + Math.floor(i / 7)) % 256),
);
const FILES = { 'm/a.txt': TEXT, 'm/empty': Buffer.alloc(0), 'm/sub/r.bin': BINARY };

function archive(name: string): Buffer {
  return readFileSync(join(__dirname, 'archives', name));
}

async function tarOf(fill: (tar: Pack) => void): Promise<Buffer> {
  const tar = pack();
  fill(tar);
  tar.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of tar) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** Sets a field of the header at `at` and its checksum with it. */
function forgeHeader(tar: Buffer, at: number, offset: number, value: string): Buffer {
  const forged = Buffer.from(tar);
  forged.write(value, at + offset, 'latin1');
  forged.fill(' ', at + 148, at + 156);
  const sum = forged.subarray(at, at + 512).reduce((total, byte) => total + byte, 0);
  forged.write(sum.toString(8).padStart(6, '0') + '\0 ', at + 148, 'latin1');
  return forged;
}

describe('a tar as its writers write it', () => {
  it('is read whole, packed or not', async () => {
    const packed = archive('gnutar.tar.gz');

    expect((await readUpload(TAR_GZ, packed)).files).toEqual(FILES);
    expect((await readUpload(TAR, gunzipSync(packed))).files).toEqual(FILES);
  });

  it.each(['python-pax.tar.gz', 'python-gnu.tar.gz'])('may hold long names: %s', async (name) => {
    const { files } = await readUpload(TAR_GZ, archive(name));

    const long = `m/${'long-folder-name/'.repeat(12)}é.txt`;
    expect(files).toEqual({ ...FILES, [long]: Buffer.from('long') });
  });

  it.each([1, 7, 100])('is read whole from pieces of %d bytes', async (pieceBytes) => {
    const { files } = await readUpload(TAR_GZ, archive('gnutar.tar.gz'), { pieceBytes });

    expect(files).toEqual(FILES);
  });

  it.each(['application/x-gzip', 'application/x-gtar', 'application/tar+gzip'])(
    'is unpacked when sent as %s',
    async (contentType) => {
      const { files } = await readUpload(contentType, archive('gnutar.tar.gz'));

      expect(files).toEqual(FILES);
    },
  );

  it('may be packed in several gzip members', async () => {
    const tar = gunzipSync(archive('gnutar.tar.gz'));

    const { files } = await readUpload(
      TAR_GZ,
      Buffer.concat([gzipSync(tar.subarray(0, 5000)), gzipSync(tar.subarray(5000))]),
    );

    expect(files).toEqual(FILES);
  });

  it('loses folders, the folder it was packed from, and what a desktop added', async () => {
    const tar = await tarOf((pack) => {
      pack.entry({ name: './', type: 'directory' });
      pack.entry({ name: './._a' }, 'x');
      pack.entry({ name: './.DS_Store' }, 'x');
      pack.entry({ name: './sub', type: 'directory' });
      pack.entry({ name: './sub/a' }, 'a');
    });

    expect((await readUpload(TAR, tar)).files).toEqual({ 'sub/a': Buffer.from('a') });
  });

  it('may hold archives, which are files like any other (46)', async () => {
    const inner = archive('gnutar.tar.gz');
    const tar = await tarOf((pack) => {
      pack.entry({ name: 'inner.tar.gz' }, inner);
    });

    expect((await readUpload(TAR, tar)).files).toEqual({ 'inner.tar.gz': inner });
  });
});

describe('a tar with members that must not be taken', () => {
  it.each([
    ['a path that climbs', { name: '../a' }, '../a: the path has a segment of dots'],
    ['an absolute path', { name: '/etc/a' }, '/etc/a: the path is absolute'],
    ['a folder that climbs', { name: '../a/', type: 'directory' as const }, '../a'],
    ['a symbolic link', { name: 'a', type: 'symlink' as const, linkname: '/etc' }, 'kind symlink'],
    ['a hard link', { name: 'a', type: 'link' as const, linkname: 'b' }, 'kind link'],
    ['a device', { name: 'a', type: 'character-device' as const }, 'kind character-device'],
    ['a named pipe', { name: 'a', type: 'fifo' as const }, 'kind fifo'],
    ['holes', { name: 'a', pax: { 'GNU.sparse.major': '1' } }, 'sparse file'],
  ])('is refused for %s (46)', async (_what, header, says) => {
    const tar = await tarOf((pack) => {
      // A member of the kind that has contents is only finished once it got them.
      if ('type' in header) pack.entry(header);
      else pack.entry(header, 'x');
    });

    const refusal = await refusalOf(TAR, tar);

    expect(refusal).toMatchObject({ kind: 'invalid', code: 'member_refused' });
    expect(refusal.says).toContain(says);
  });

  it('is refused for two members of one path, or one that is file and folder (46)', async () => {
    const twice = await tarOf((pack) => {
      pack.entry({ name: 'a' }, '1');
      pack.entry({ name: './a' }, '2');
    });
    const both = await tarOf((pack) => {
      pack.entry({ name: 'a' }, '1');
      pack.entry({ name: 'a/b' }, '2');
    });
    const reversed = await tarOf((pack) => {
      pack.entry({ name: 'a/b' }, '2');
      pack.entry({ name: 'a' }, '1');
    });

    expect((await refusalOf(TAR, twice)).says).toBe('a: the path stands in the upload twice');
    expect((await refusalOf(TAR, both)).says).toBe('a/b: a is a file and a folder at once');
    expect((await refusalOf(TAR, reversed)).says).toBe('a: a is a file and a folder at once');
  });

  it('is refused for too many members, after the first few (46)', async () => {
    const tar = await tarOf((pack) => {
      for (let n = 0; n < 5000; n++) pack.entry({ name: `${n}` }, '');
    });
    let sent = 0;
    function* blocks(): Generator<Buffer> {
      for (let at = 0; at < tar.length; at += 512, sent++) yield tar.subarray(at, at + 512);
    }

    const refusal = await refusalOf(TAR, Readable.from(blocks(), { objectMode: false }));

    expect(refusal).toMatchObject({ kind: 'invalid', code: 'member_refused' });
    expect(refusal.says).toContain('more than 100 files and folders');
    expect(sent).toBeLessThan(2000);
  });

  it('is refused for a folder that has contents, which readers disagree on', async () => {
    const tar = await tarOf((pack) => {
      pack.entry({ name: 'a', type: 'directory' });
    });

    const refusal = await refusalOf(TAR, forgeHeader(tar, 0, 124, '00000001000'));

    expect(refusal.says).toBe('a: is a folder with contents of its own');
  });
});

describe('a damaged tar', () => {
  const plain = (): Buffer => gunzipSync(archive('gnutar.tar.gz'));

  it.each([
    ['too large', '77777777777', 'too_large'],
    ['too small', '00000000001', 'archive_damaged'],
    ['no number', 'zzzzzzzzzzz', 'archive_damaged'],
  ])('is refused for a size that is %s (46)', async (_what, size, code) => {
    const tar = await tarOf((pack) => {
      pack.entry({ name: 'a' }, Buffer.alloc(2000, 'a'));
    });

    expect((await refusalOf(TAR, forgeHeader(tar, 0, 124, size))).code).toBe(code);
  });

  it('is refused wherever it is cut off (30)', async () => {
    const whole = plain();
    const end = whole.lastIndexOf(BINARY.subarray(-20)) + 20;

    for (let bytes = 0; bytes < end; bytes += 256) {
      const refusal = await refusalOf(TAR, whole.subarray(0, bytes));
      expect(refusal).toMatchObject({ kind: 'invalid', code: 'archive_damaged' });
    }
  });

  it('names the member in whose bytes it is cut off', async () => {
    const cut = plain();

    const refusal = await refusalOf(TAR, cut.subarray(0, cut.indexOf(TEXT) + 100));

    expect(refusal.says).toBe('m/a.txt: the tar is cut off here');
  });

  it('is refused for other bytes behind it (31)', async () => {
    const tar = Buffer.concat([plain(), Buffer.alloc(1024, 'x')]);

    expect((await refusalOf(TAR, tar)).code).toBe('archive_damaged');
  });

  it('is refused for being something else', async () => {
    const refusal = await refusalOf(TAR, archive('gnutar.tar.gz'));

    expect(refusal).toMatchObject({ code: 'archive_damaged', says: ': this is no tar' });
  });
});

describe('a damaged gzip', () => {
  it('is refused wherever it is cut off (30)', async () => {
    const whole = archive('gnutar.tar.gz');

    for (let bytes = 0; bytes < whole.length; bytes += 97) {
      const refusal = await refusalOf(TAR_GZ, whole.subarray(0, bytes));
      expect(refusal).toMatchObject({ kind: 'invalid', code: 'archive_damaged' });
    }
    expect((await refusalOf(TAR_GZ, whole.subarray(0, -3))).says).toContain(
      'unexpected end of file',
    );
  });

  it('is refused for a checksum that differs', async () => {
    const damaged = Buffer.from(archive('gnutar.tar.gz'));
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 6) ^ 1, damaged.length - 6);

    expect((await refusalOf(TAR_GZ, damaged)).says).toContain('incorrect data check');
  });

  it.each([
    ['bytes', Buffer.from('garbage')],
    ['zeros', Buffer.alloc(100)],
  ])('is refused for %s behind it (31)', async (_what, behind) => {
    const gzip = archive('gnutar.tar.gz');

    for (const pieceBytes of [gzip.length, 64]) {
      const refusal = await refusalOf(TAR_GZ, Buffer.concat([gzip, behind]), { pieceBytes });
      expect(refusal.code).toBe('archive_damaged');
    }
  });

  it('is refused for being something else', async () => {
    expect((await refusalOf(TAR_GZ, Buffer.from('hello'))).says).toContain('incorrect header');
    expect((await refusalOf(TAR_GZ, gzipSync('hello'))).code).toBe('archive_damaged');
  });
});

describe('a gzip that unpacks to too much', () => {
  it('is refused when a member announces it (48)', async () => {
    const bomb = gzipSync(
      await tarOf((pack) => {
        pack.entry({ name: 'a' }, Buffer.alloc(50e6));
      }),
    );

    expect(await refusalOf(TAR_GZ, bomb)).toMatchObject({ kind: 'too_large', code: 'too_large' });
  });

  it('is refused when there is no member in it at all (48)', async () => {
    const bomb = gzipSync(Buffer.alloc(50e6));

    expect(await refusalOf(TAR_GZ, bomb)).toMatchObject({ kind: 'too_large' });
  });
});
