import { FormatSyntaxError } from '../formats.errors';
import { MODEL } from './onnx-schema';
import { type ProtoTree } from './proto-tree';
import { ProtoWalk, type WalkAllowance } from './proto-walk';

/** What was read of an ONNX file while it streamed by, or why it is none. */
export type ScannedOnnx =
  | { readonly model: ProtoTree; readonly fault?: never }
  | { readonly model?: never; readonly fault: string };

/** Watches an ONNX file stream by; a fault is kept for later, since it must not stop the upload. */
export class OnnxScan {
  private readonly walk: ProtoWalk;
  private fault: string | undefined;

  constructor(allowance: WalkAllowance) {
    this.walk = new ProtoWalk(MODEL, allowance);
  }

  push(piece: Uint8Array): void {
    if (this.fault !== undefined) return;
    this.attempt(() => {
      this.walk.push(piece);
    });
  }

  finish(): ScannedOnnx {
    if (this.fault === undefined) this.attempt(() => this.walk.finish());
    return this.fault === undefined ? { model: this.walk.root } : { fault: this.fault };
  }

  private attempt(read: () => unknown): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof FormatSyntaxError)) throw error;
      this.fault = error.message;
    }
  }
}
