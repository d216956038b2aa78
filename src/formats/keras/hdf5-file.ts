import type * as H5 from 'h5wasm' with { 'resolution-mode': 'import' };

import { UnreadableHdf5Error } from './keras.errors';

type Library = typeof H5;
type Module = Awaited<Library['ready']>;

/** HDF5's own numbers for the classes of types that weights and configurations come in. */
const TYPE_CLASS = { integer: 0, float: 1, text: 3, opaque: 5 } as const;

/** A configuration as text is the largest of them; its nesting and values are bounded elsewhere. */
const MAX_ATTRIBUTE_BYTES = 32 * 1024 * 1024;

/** A dataset as its header describes it: nothing of it has been read yet. */
export interface Hdf5Tensor {
  readonly shape: readonly number[];
  /** `float32`, `int64`, `bytes2` for two bytes of unknown meaning, or `other`. */
  readonly type: string;
  readonly elementBytes: number;
  readonly isLittleEndian: boolean;
}

/**
 * One HDF5 file in memory, for a thread of its own: the library is a C library compiled to
 * WebAssembly, and a crafted file can make it loop, run out of memory or stop.
 *
 * Its file system is in memory and holds the given bytes alone: links to other files, and data kept
 * in other files, lead nowhere and fail the reading.
 */
export class Hdf5File {
  private constructor(
    private readonly library: Library,
    private readonly module: Module,
    private readonly file: H5.File,
  ) {}

  /** @throws UnreadableHdf5Error */
  static async open(bytes: Uint8Array): Promise<Hdf5File> {
    const library = await import('h5wasm');
    const module = await library.ready;
    // Reads from these bytes as they are: a copy would double what a large file takes.
    const options: { flags?: string; canOwn: boolean } = { canOwn: true };
    module.FS.writeFile('model.h5', bytes, options);
    const file = guarded('the file', () => new library.File('model.h5', 'r'));
    if (file.file_id < 0n) throw new UnreadableHdf5Error('the file');
    return new Hdf5File(library, module, file);
  }

  /** Names in a group; null where there is none. */
  members(path: string): readonly string[] | null {
    const group = this.group(path);
    return group && guarded(path, () => group.keys());
  }

  /** Names of the attributes of a group; null where there is none. */
  attributes(path: string): readonly string[] | null {
    const group = this.group(path);
    return group && guarded(path, () => this.module.get_attribute_names(group.file_id, group.path));
  }

  /** Texts in an attribute of a group: one, or a list; null where there is no such thing. */
  texts(path: string, attribute: string): readonly string[] | null {
    const group = this.group(path);
    if (!group || this.attributes(path)?.includes(attribute) !== true) return null;
    const header = guarded(path, () =>
      this.module.get_attribute_metadata(group.file_id, group.path, attribute),
    );
    // An empty list of texts is written as one of numbers.
    if (header.total_size === 0) return [];
    if (header.type !== TYPE_CLASS.text) return null;
    if (header.size * header.total_size > MAX_ATTRIBUTE_BYTES) throw new UnreadableHdf5Error(path);
    const value = guarded(path, () => group.get_attribute(attribute, false));
    return [value].flat().filter((text) => typeof text === 'string');
  }

  /** The attribute of a dataset, when it is a text. */
  textOf(path: string, attribute: string): string | null {
    const dataset = this.dataset(path);
    if (!dataset) return null;
    const names = guarded(path, () => this.module.get_attribute_names(dataset.file_id, path));
    if (!names.includes(attribute)) return null;
    const value = guarded(path, () => dataset.get_attribute(attribute, false));
    return typeof value === 'string' ? value : null;
  }

  /** The header of a dataset; null where there is none. */
  tensor(path: string): Hdf5Tensor | null {
    const dataset = this.dataset(path);
    if (!dataset) return null;
    const { shape, type, size, signed, littleEndian } = guarded(path, () => dataset.metadata);
    return {
      shape: shape ?? [],
      type: typeName(type, size, signed),
      elementBytes: size,
      isLittleEndian: littleEndian,
    };
  }

  /** Reads rows `from` to `to` (`to` excluded) of the first axis; a scalar is read whole. */
  read(path: string, { shape, elementBytes }: Hdf5Tensor, from: number, to: number): Uint8Array {
    const [, ...row] = shape;
    const rowBytes = row.reduce((product, size) => product * size, elementBytes);
    const bytes = shape.length === 0 ? elementBytes : rowBytes * (to - from);
    if (bytes === 0) return new Uint8Array(0);
    const { module, file } = this;
    const at = guarded(path, () => module._malloc(bytes));
    if (at === 0) throw new UnreadableHdf5Error(path);
    try {
      guarded(path, () => {
        const count = [to - from, ...row].map(BigInt);
        const offset = [from, ...row.map(() => 0)].map(BigInt);
        const stride = shape.map(() => 1n);
        const [counts, offsets, strides] =
          shape.length === 0 ? [null, null, null] : [count, offset, stride];
        // Fails by number only, and leaves in the memory whatever was there before.
        const status = module.get_dataset_data(
          file.file_id,
          path,
          counts,
          offsets,
          strides,
          BigInt(at),
        );
        if (status < 0) throw new UnreadableHdf5Error(path);
      });
      // The memory may have grown, and then the old view of it is empty.
      return module.HEAPU8.slice(at, at + bytes);
    } finally {
      module._free(at);
    }
  }

  private group(path: string): H5.Group | null {
    const found = guarded(path, () => this.file.get(path));
    return found instanceof this.library.Group ? found : null;
  }

  private dataset(path: string): H5.Dataset | null {
    const found = guarded(path, () => this.file.get(path));
    return found instanceof this.library.Dataset ? found : null;
  }
}

function typeName(type: number, size: number, signed: boolean): string {
  const bits = size * 8;
  if (type === TYPE_CLASS.float) return `float${bits}`;
  if (type === TYPE_CLASS.integer) return `${signed ? 'int' : 'uint'}${bits}`;
  return type === TYPE_CLASS.opaque ? `bytes${size}` : 'other';
}

/** The library throws errors, numbers and texts; all of them mean that the file cannot be read. */
function guarded<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new UnreadableHdf5Error(path, cause);
  }
}
