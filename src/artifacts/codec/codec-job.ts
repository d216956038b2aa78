import { type Codec } from '../artifact';

/** What the service's thread asks a codec thread to do. */
export interface CodecJob {
  readonly id: number;
  readonly kind: 'encode' | 'decode';
  readonly codec: Codec;
  readonly block: Uint8Array;
  /** For `decode`: the length that must come out. */
  readonly rawBytes: number;
}

export type CodecResult =
  | { readonly id: number; readonly block: Uint8Array }
  | { readonly id: number; readonly error: string };
