import fc from 'fast-check';

import { StoreError } from '../../../../src/common/errors';
import { MODEL } from '../../../../src/formats/onnx/onnx-schema';
import { type ProtoSchema, type ProtoTree } from '../../../../src/formats/onnx/proto-tree';
import { ProtoWalk, WalkAllowance } from '../../../../src/formats/onnx/proto-walk';
import { forgeOnnx } from '../../../support/forged-onnx';

const SCHEMA: ProtoSchema = {
  fields: () => ({
    1: 'int',
    2: 'ints',
    3: 'text',
    4: 'bytes',
    5: 'varints',
    6: 'items',
    7: SCHEMA,
  }),
};

function walk(bytes: readonly number[], cut = bytes.length, allowance?: WalkAllowance): ProtoTree {
  const reader = new ProtoWalk(SCHEMA, allowance ?? new WalkAllowance());
  for (let at = 0; at < bytes.length; at += cut) {
    reader.push(Uint8Array.from(bytes.slice(at, at + cut)));
  }
  return reader.finish();
}

describe('ProtoWalk', () => {
  it.each([
    ['a small number', [0x08, 0x05], 1, 5],
    ['a number of many bytes', [0x08, 0xff, 0xff, 0xff, 0xff, 0x0f], 1, 2 ** 32 - 1],
    ['a negative number', [0x08, ...Array.from({ length: 9 }, () => 0xff), 0x01], 1, -1],
    ['the last of several', [0x08, 0x05, 0x08, 0x06], 1, 6],
    ['the bytes of what is not kept', [0x22, 0x03, 1, 2, 3], 4, 3],
    ['the bytes of numbers one by one', [0x25, 1, 2, 3, 4, 0x25, 1, 2, 3, 4], 4, 8],
    ['packed numbers by their ends', [0x2a, 0x05, 0x01, 0x80, 0x01, 0xff, 0x7f], 5, 3],
    ['numbers one by one', [0x28, 0x90, 0x01, 0x28, 0x02], 5, 2],
    ['how often a text stands there', [0x32, 0x01, 0x61, 0x32, 0x00], 6, 2],
  ])('reads %s, however it is cut', (_what, bytes, field, value) => {
    for (let cut = 1; cut <= bytes.length; cut++) expect(walk(bytes, cut).int(field)).toBe(value);
  });

  it.each([
    ['numbers', [0x40, 0x80, 0x80, 0x01, 0x40, 0x07]],
    ['numbers of fixed size', [0x45, 1, 2, 3, 4, 0x41, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['fields of high numbers', [0x80, 0x7d, 0x05, 0x85, 0x7d, 1, 2, 3, 4, 0x80, 0x80, 0x01, 0x01]],
    ['texts and messages', [0x42, 0x02, 0x08, 0x09, 0x42, 0x00]],
  ])('passes over %s that nobody asked for', (_what, others) => {
    const inner = [...others, 0x08, 0x05, ...others];
    const bytes = [...others, 0x3a, inner.length, ...inner, ...others, 0x08, 0x06];

    for (let cut = 1; cut <= bytes.length; cut++) {
      const tree = walk(bytes, cut);
      expect([tree.ints(1), tree.child(7)?.ints(1)]).toEqual([[6], [5]]);
    }
  });

  it('reads lists of numbers in both of their forms, and messages within messages', () => {
    const bytes = [
      0x10, 0x07, 0x12, 0x03, 0x01, 0x80, 0x01, 0x3a, 0x05, 0x3a, 0x03, 0x1a, 0x01, 0x61,
    ];

    for (let cut = 1; cut <= bytes.length; cut++) {
      const tree = walk(bytes, cut);
      expect(tree.ints(2)).toEqual([7, 1, 128]);
      expect(tree.child(7)?.child(7)?.texts(3)).toEqual(['a']);
    }
  });

  it.each([
    [
      'a number that goes on behind its message',
      [0x3a, 0x02, 0x08, 0x80, 0x01],
      /longer than the message/,
    ],
    ['a packed number that goes on behind its list', [0x12, 0x01, 0x80, 0x01], /longer|has no end/],
    ['a tag without its value', [0x3a, 0x01, 0x08, 0x08, 0x01], /longer than the message/],
    ['a field that goes on behind its message', [0x3a, 0x02, 0x22, 0x05, 1, 2, 3, 4, 5], /longer/],
    ['a fixed number that does', [0x3a, 0x02, 0x25, 0x00, 0x00, 0x00, 0x00], /longer/],
    ['a field without a number', [0x00, 0x00], /impossible number/],
    ['an end in the middle', [0x3a, 0x05, 0x08], /ends in the middle/],
  ])('refuses %s', (_what, bytes, fault) => {
    for (let cut = 1; cut <= bytes.length; cut++) expect(() => walk(bytes, cut)).toThrow(fault);
  });

  it('stops at what all files together may take', () => {
    const allowance = new WalkAllowance(3);
    walk([0x08, 0x01, 0x08, 0x01], 4, allowance);

    expect(() => walk([0x08, 0x01, 0x08, 0x01], 4, allowance)).toThrow(/more nodes and names/);
  });

  it('reads or refuses whatever bytes there are, and the same in any pieces', () => {
    const whole = forgeOnnx({ tensors: [{ name: 'w', dims: [2], floats: [1, 2] }] });
    const read = (bytes: Uint8Array, cut: number): string => {
      try {
        const reader = new ProtoWalk(MODEL, new WalkAllowance());
        for (let at = 0; at < bytes.length; at += cut) reader.push(bytes.subarray(at, at + cut));
        return JSON.stringify(reader.finish());
      } catch (error) {
        if (error instanceof StoreError) return error.message;
        throw error;
      }
    };
    const places = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(places, fc.integer({ min: 1, max: 40 }), (edits, cut) => {
        const bytes = whole.slice();
        for (const [at, byte] of edits) bytes[at] = byte;
        expect(read(bytes, cut)).toBe(read(bytes, bytes.length));
      }),
      { numRuns: 2000 },
    );
  });
});
