import { StoreError } from '../../common/errors';
import { InvalidArtifactError } from '../formats.errors';

/** Bytes that say they are HDF5 and cannot be read as such. */
export class UnreadableHdf5Error extends InvalidArtifactError {
  constructor(path: string, cause?: unknown) {
    super('The HDF5 file is damaged or cut off', [{ path, message: 'cannot be read' }]);
    if (cause !== undefined) this.cause = cause;
  }
}

/** A Keras file that is larger than one that is read here may be. */
export class KerasTooLargeError extends StoreError {
  override readonly kind = 'too_large';
  override readonly code = 'keras_too_large';

  constructor(path: string, what: string, bytes: number, maxBytes: number) {
    super(
      `${what} ${bytes} bytes; a Keras file is read whole, so ${maxBytes} is the most. Convert the model with tensorflowjs_converter and upload the result, or set format to opaque in the metadata to keep the file as it is`,
      { path, bytes, maxBytes },
    );
  }
}
