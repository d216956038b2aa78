import { StoreError } from '../../common/errors';

/** A block that is not what was encoded. */
export class CodecError extends StoreError {
  override readonly kind = 'corrupt';
  override readonly code = 'block_corrupt';
}
