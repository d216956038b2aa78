import { giveBack } from '../../../src/artifacts/give-back';

describe('giveBack', () => {
  it('empties every view of what it gives back', () => {
    const reply = new Uint8Array(1024 * 1024);
    const [one, two] = [reply.subarray(10, 20), reply.subarray(30)];

    giveBack([one, two]);

    expect([reply, one, two].map(({ length }) => length)).toEqual([0, 0, 0]);
  });

  it('leaves small memory and memory that threads share', () => {
    const small = new Uint8Array(1000);
    const shared = new Uint8Array(new SharedArrayBuffer(1024 * 1024));

    giveBack([small, shared]);

    expect([small.length, shared.length]).toEqual([1000, 1024 * 1024]);
  });

  it('can be repeated', () => {
    const reply = new Uint8Array(1024 * 1024);

    giveBack([reply]);
    giveBack([reply]);

    expect(reply).toHaveLength(0);
  });
});
