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
    };

export type SegmentResult =
  | { readonly hash: string }
  | { readonly encoded: Uint8Array<ArrayBuffer> }
  | { readonly decoded: true }
  | { readonly corrupt: string };
