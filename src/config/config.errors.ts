import { StoreError } from '../common/errors';

/** A setting that cannot work; the message is the one sentence printed before the start is given up. */
export class ConfigError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'bad_config';
}
