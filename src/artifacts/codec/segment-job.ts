import { type FileEnd, type FileParts, type WeightDtype } from './segment.codec';

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
  /** A file is on the thread that opened it, until its end. */
  | {
      readonly kind: 'file-open';
      readonly file: number;
      readonly rawBytes: number;
      readonly parts: FileParts;
    }
  | {
      readonly kind: 'file-decode';
      readonly file: number;
      readonly encoded: Uint8Array;
      readonly rawBytes: number;
      readonly base: Uint8Array | undefined;
    }
  | { readonly kind: 'file-end'; readonly file: number };

export type SegmentResult =
  | { readonly opened: true }
  | { readonly decodedTo: Uint8Array<ArrayBuffer> }
  | { readonly end: FileEnd }
  | { readonly lost: true }
  | { readonly hash: string }
  | { readonly encoded: Uint8Array<ArrayBuffer> }
  | { readonly decoded: true }
  | { readonly corrupt: string };
