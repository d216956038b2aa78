import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';

import fc from 'fast-check';

import { reportPickle } from '../../../../src/formats/pickle/pickle-report';
import { type PickleFindings, PickleWalker } from '../../../../src/formats/pickle/pickle-walker';
import { fixturePath } from '../../../support/fixtures';

/** Pickles that Python 3.11 wrote in each protocol: `nice` of harmless values, `evil` of a command. */
const PICKLES = JSON.parse(readFileSync(join(__dirname, 'pickles.json'), 'utf8')) as Record<
  string,
  string
>;
const PROTOCOLS = [0, 1, 2, 3, 4, 5];

function sample(name: string): Buffer {
  return inflateSync(Buffer.from(PICKLES[name]!, 'base64'));
}

function walk(bytes: Uint8Array, pieceBytes = bytes.length): PickleFindings {
  const walker = new PickleWalker();
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    walker.push(bytes.subarray(at, at + pieceBytes));
  }
  return walker.finish();
}

function names({ globals }: PickleFindings): string[] {
  return globals.map(({ module, name }) => `${module}.${name}`).sort();
}

/** Bytes and texts, one behind the other. */
function bytes(...parts: (string | number | readonly number[])[]): Buffer {
  return Buffer.concat(
    parts.map((part) =>
      typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from([part].flat()),
    ),
  );
}

const TEXT = (text: string): Buffer => bytes(0x8c, text.length, text);
const STACK_GLOBAL = 0x93;

describe('PickleWalker', () => {
  it.each(PROTOCOLS)('walks through a sound pickle of protocol %i to its end', (protocol) => {
    const findings = walk(sample(`nice-${protocol}`));

    expect(findings).toMatchObject({ damage: null, incomplete: null, endsCleanly: true });
    expect(names(findings)).toEqual(
      expect.arrayContaining(['collections.OrderedDict', 'datetime.datetime', 'decimal.Decimal']),
    );
  });

  it.each(PROTOCOLS)('finds the command in a pickle of protocol %i', (protocol) => {
    const findings = walk(sample(`evil-${protocol}`));

    expect(names(findings)).toContain('posix.system');
    expect(reportPickle(findings).notes[0]).toMatch(/^DANGEROUS: imports posix\.system/);
  });

  it.each(PROTOCOLS)('finds the same in pieces of any size, protocol %i', (protocol) => {
    const whole = sample(`nice-${protocol}`);
    const expected = walk(whole);

    for (const pieceBytes of [1, 2, 3, 7, 64, 4096]) {
      expect(walk(whole, pieceBytes)).toEqual(expected);
    }
  });

  it.each([
    [
      'a text with escapes by number',
      bytes('V\\u0070osix\nV\\U00000073ystem\n', STACK_GLOBAL, '.'),
    ],
    ['a text in quotes', bytes("S'\\x70\\157six'\nS'sys\\x74em'\n", STACK_GLOBAL, '.')],
    ['a long text', bytes('V', '\\U00000070osix\nVsystem\n', STACK_GLOBAL, '.')],
  ])('reads a name that is written as %s', (_, pickle) => {
    expect(names(walk(pickle))).toEqual(['posix.system']);
    expect(names(walk(pickle, 1))).toEqual(['posix.system']);
  });

  it('leaves escapes alone that are none', () => {
    const pickle = bytes('V\\\\u0070a\\n\nVb\\u00\n', STACK_GLOBAL, '.');

    expect(names(walk(pickle))).toEqual(['\\\\u0070a\\n.b\\u00']);
  });

  it('passes over the arrays of a joblib file, plain and of objects', () => {
    const joblib = inflateSync(readFileSync(fixturePath('trained/rf-digits/model-z3.joblib')));

    const findings = walk(joblib, 1000);

    expect(findings).toMatchObject({ damage: null, incomplete: null, endsCleanly: true });
    expect(names(findings)).toContain('sklearn.ensemble._forest.RandomForestClassifier');
    expect(reportPickle(findings)).toMatchObject({ framework: 'scikit-learn', isJoblib: true });
  });

  it('finds an import behind the arrays of a joblib file', () => {
    const joblib = inflateSync(readFileSync(fixturePath('trained/rf-digits/model-z3.joblib')));
    const call = bytes('cos\nsystem\n', '0.');

    const findings = walk(Buffer.concat([joblib.subarray(0, -1), call]));

    expect(names(findings)).toContain('os.system');
    expect(findings.damage).toBeNull();
  });

  it('finds names that come through the memo', () => {
    const findings = walk(
      Buffer.concat([
        bytes(0x80, 4),
        TEXT('posix'),
        bytes(0x94, '0'),
        TEXT('system'),
        bytes(0x94, '0', 'h', 0, 'h', 1, STACK_GLOBAL, '.'),
      ]),
    );

    expect(names(findings)).toEqual(['posix.system']);
  });

  it('finds the class of an INST and the function of an OBJ', () => {
    expect(names(walk(bytes('(ios\nsystem\n.')))).toEqual(['os.system']);
    expect(names(walk(bytes('(cos\nsystem\no.')))).toEqual(['os.system']);
  });

  it('finds what a second pickle in the same file imports', () => {
    const findings = walk(Buffer.concat([bytes(0x80, 2, 'N.'), bytes(0x80, 2, 'cos\nsystem\n.')]));

    expect(names(findings)).toEqual(['os.system']);
  });

  it('says so when a name is computed, registered elsewhere, or remembered in two ways', () => {
    const reports = [
      bytes(0x80, 4, 'N', 'N', STACK_GLOBAL, '.'),
      bytes(0x80, 4, 0x82, 7, '.'),
      bytes(0x80, 4, 'N', 0x94, 'q', 0, '.'),
    ].map((pickle) => reportPickle(walk(pickle)).notes.join());

    expect(reports[0]).toContain('whose name could not be made out');
    expect(reports[1]).toContain('by a registered number');
    expect(reports[2]).toContain('in two ways');
  });

  it.each([
    ['cut off', sample('nice-4').subarray(0, 500), 'ends in the middle'],
    ['with a byte that is no instruction', bytes(0x80, 4, 0xff), '0xff is no instruction'],
    ['that takes from an empty stack', bytes(0x80, 4, 'R'), 'more from its stack'],
    ['that closes what was not opened', bytes(0x80, 4, 't'), 'was not opened'],
    ['that ends with nothing', bytes(0x80, 4, '.'), 'nothing built'],
    ['that recalls what it never had', bytes(0x80, 4, 'h', 5, '.'), 'did not remember'],
    ['of an unknown protocol', bytes(0x80, 9, 'N.'), 'protocol 9'],
    ['with a length beyond any file', bytes(0x80, 4, 0x8e, Array(8).fill(255)), 'larger than any'],
  ])('says that a pickle is damaged: one %s', (_, pickle, sentence) => {
    expect(walk(pickle).damage).toContain(sentence);
  });

  it('stays within its bounds, whatever is piled up (56)', () => {
    const marks = walk(Buffer.concat([bytes(0x80, 4), Buffer.alloc(2_000_000, '(')]));
    const values = walk(Buffer.concat([bytes(0x80, 4), Buffer.alloc(2_000_000, 'N')]));

    expect(marks.incomplete).toContain('stack grows too high');
    expect(values.incomplete).toContain('stack grows too high');
  });

  it('never throws and never stalls, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.integer({ min: 1, max: 9 }),
        (noise, size) => {
          const pickle = Buffer.concat([bytes(0x80, 4), noise]);
          const findings = walk(pickle, size);

          expect(findings).toEqual(walk(pickle));
        },
      ),
      { numRuns: 500 },
    );
  });
});
