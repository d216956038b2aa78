import { type ErrorKind, ERROR_KINDS } from '../../../../src/common/errors';
import { RelayedError } from '../../../../src/common/relayed-error';
import { tfWords } from '../../../../src/protocols/tfserving/tf-status';

const wordsOf = (kind: ErrorKind, code = 'a_code'): unknown =>
  tfWords(new RelayedError({ kind, code, message: 'What is wrong', details: { secret: 1 } }));

describe('the errors of TensorFlow Serving', () => {
  it.each([
    ['bad_syntax', 400],
    ['invalid', 400],
    ['conflict', 400],
    ['precondition_failed', 400],
    ['unsupported_media_type', 400],
    ['unauthenticated', 401],
    ['forbidden', 403],
    ['not_found', 404],
    ['too_large', 413],
    ['too_many_requests', 429],
    ['corrupt', 500],
    ['overloaded', 503],
    ['unavailable', 503],
    ['deadline', 504],
  ] as const)('say %s with %i, and the sentence alone', (kind, status) => {
    expect(wordsOf(kind)).toEqual({ status, body: { error: 'What is wrong' } });
  });

  it('keep 501 for what is not done, also when a thread found it', () => {
    expect(wordsOf('invalid', 'unimplemented')).toMatchObject({ status: 501 });
  });

  it('never tell a client to try again what cannot succeed', () => {
    const retried = ERROR_KINDS.filter((kind) => {
      const { status } = wordsOf(kind) as { readonly status: number };
      return status === 429 || status > 500;
    });
    expect(retried).toEqual(['too_many_requests', 'overloaded', 'deadline', 'unavailable']);
  });
});
