import { checkArtifactPath, isDesktopClutter } from './artifact-path';
import { MemberRefusedError, UploadTooLargeError } from './parts.errors';

/** What bounds one upload, however it is packed. */
export interface PartLimits {
  /** All members' bytes together, unpacked. */
  readonly maxBytes: number;
  /** Members, folders and skipped ones included. */
  readonly maxParts: number;
  /** One text field of a form. */
  readonly maxFieldBytes: number;
}

/** One member of an upload as its container names it, before any rule is applied. */
export interface Member {
  readonly name: string;
  readonly kind: 'file' | 'folder';
  /** The size that the container announces, where it does. */
  readonly declaredBytes?: number | undefined;
  /** To be read to its end before the next member is asked for. */
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * The rules that every member of an upload passes, whatever it was packed in.
 *
 * Each admitted path is a good one and stands in the upload once; none is a file and a folder at
 * the same time. The bytes spent never exceed the limit, announced ones included.
 */
export class Admission {
  private members = 0;
  private bytes = 0;
  private readonly files = new Set<string>();
  private readonly folders = new Set<string>();

  constructor(private readonly limits: PartLimits) {}

  /**
   * The path of a file to hand on; undefined for a member which is skipped.
   *
   * @throws MemberRefusedError for a member that must not be taken
   * @throws UploadTooLargeError for one that announces more than is left
   */
  admit({ name, kind, declaredBytes = 0 }: Member): string | undefined {
    if (++this.members > this.limits.maxParts) {
      throw new MemberRefusedError(name, `more than ${this.limits.maxParts} files and folders`);
    }
    const bare = kind === 'folder' ? name.replace(/\/$/, '') : name;
    // What `tar c .` calls the folder it packed.
    if (kind === 'folder' && (bare === '.' || bare === '')) return undefined;
    const checked = checkArtifactPath(bare);
    if (checked.fault !== undefined) throw new MemberRefusedError(name, checked.fault);
    const { path } = checked;
    if (this.bytes + declaredBytes > this.limits.maxBytes) {
      throw new UploadTooLargeError(this.limits.maxBytes);
    }
    if (isDesktopClutter(path)) return undefined;
    this.enter(path, kind);
    return kind === 'file' ? path : undefined;
  }

  /** Counts bytes as they come out of a member, whatever it announced. */
  spend(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes > this.limits.maxBytes) throw new UploadTooLargeError(this.limits.maxBytes);
  }

  private enter(path: string, kind: Member['kind']): void {
    for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
      const folder = path.slice(0, slash);
      if (this.files.has(folder)) {
        throw new MemberRefusedError(path, `${folder} is a file and a folder at once`);
      }
      this.folders.add(folder);
    }
    if (this.files.has(path)) {
      throw new MemberRefusedError(
        path,
        kind === 'file'
          ? 'the path stands in the upload twice'
          : `${path} is a file and a folder at once`,
      );
    }
    if (kind === 'folder') {
      this.folders.add(path);
      return;
    }
    if (this.folders.has(path)) {
      throw new MemberRefusedError(path, `${path} is a file and a folder at once`);
    }
    this.files.add(path);
  }
}
