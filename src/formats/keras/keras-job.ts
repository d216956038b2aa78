import { type Fault } from '../../common/errors';

/** What the service asks a reading thread to do: one file, one thread. */
export interface KerasJob {
  /** The path of the file in the upload, for faults. */
  readonly path: string;
  /** The whole HDF5 file; handed over, not copied. */
  readonly hdf5: Uint8Array;
  /** `config.json` and the version of Keras beside it, for the new format. */
  readonly config?: Uint8Array;
  readonly kerasVersion?: string;
  readonly maxBytes: number;
}

/** Asks for the next weights. The thread answers each with a piece, or that there are no more. */
export const NEXT = 'next';

export type KerasReply =
  | {
      readonly kind: 'described';
      readonly description: string;
      readonly weightBytes: number;
      readonly warnings: readonly string[];
    }
  | { readonly kind: 'not-keras' }
  | { readonly kind: 'refused'; readonly message: string; readonly faults: readonly Fault[] }
  | { readonly kind: 'too-large'; readonly bytes: number }
  | { readonly kind: 'piece'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' };
