import { ownBuffers } from './own-buffers';
import {
  type DecodedParts,
  type DecodedSegment,
  type EncodedSegment,
  type FileEnd,
  type FileParts,
  type WeightDtype,
} from './segment.codec';

/**
 * What the service's thread asks a codec thread to do. Views are of shared memory, but for those
 * of encoded segments, which change hands.
 */
export type SegmentJob =
  | { readonly kind: 'hash'; readonly raw: Uint8Array }
  | {
      readonly kind: 'encode';
      readonly raw: Uint8Array;
      readonly dtype: WeightDtype | undefined;
      readonly base: Uint8Array | undefined;
    }
  | {
      readonly kind: 'decode-each';
      readonly segments: readonly EncodedSegment[];
      readonly wanted: DecodedParts;
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
      readonly segments: readonly EncodedSegment[];
    }
  | { readonly kind: 'file-end'; readonly file: number };

export type SegmentResult =
  | { readonly opened: true }
  | { readonly decodedTo: readonly Uint8Array<ArrayBuffer>[] }
  | { readonly end: FileEnd }
  | { readonly lost: true }
  | { readonly hash: string }
  | { readonly encoded: Uint8Array<ArrayBuffer> }
  | { readonly decoded: readonly DecodedSegment[] }
  | { readonly corrupt: string; readonly index: number; readonly isInBase: boolean };

/** The memory of encoded segments that goes to the thread that is to decode them. */
export function buffersOf(segments: readonly EncodedSegment[]): ArrayBuffer[] {
  return ownBuffers(segments.flatMap(({ pieces, base = [] }) => [...pieces, ...base]));
}
