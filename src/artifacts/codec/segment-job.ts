import { type WeightDtype } from './segment.codec';

/** What the service's thread asks a codec thread to do; all views are of shared memory. */
export type SegmentJob =
  | { readonly kind: 'hash'; readonly raw: Uint8Array }
  | {
      readonly kind: 'encode';
      readonly raw: Uint8Array;
      readonly dtype: WeightDtype | undefined;
      readonly base: Uint8Array | undefined;
    }
  | {
      readonly kind: 'decode';
      readonly encoded: Uint8Array;
      readonly target: Uint8Array;
      readonly base: Uint8Array | undefined;
    }
  | {
      readonly kind: 'hash-decoded';
      readonly encoded: Uint8Array;
      readonly rawBytes: number;
      readonly base: Uint8Array | undefined;
    }
  /** The next bytes of a digest that this thread keeps; the first ones begin it. */
  | {
      readonly kind: 'digest-update';
      readonly digest: number;
      readonly raw: Uint8Array;
      readonly isFirst: boolean;
    }
  | { readonly kind: 'digest-end'; readonly digest: number };

export type SegmentResult =
  | { readonly updated: true }
  | { readonly lost: true }
  | { readonly hash: string }
  | { readonly encoded: Uint8Array<ArrayBuffer> }
  | { readonly decoded: true }
  | { readonly corrupt: string };
