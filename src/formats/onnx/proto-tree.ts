/**
 * How a field of a protobuf message is read. Fields that a schema leaves out are passed over.
 *
 * `int` is a number, `ints` numbers one by one or packed, `text` a text, `bytes` only the count of
 * its bytes, `varints` only the count of its numbers, `items` only how often the field stands there;
 * a schema is a message in the message.
 */
export type FieldKind = 'int' | 'ints' | 'text' | 'bytes' | 'varints' | 'items' | ProtoSchema;

export interface ProtoSchema {
  /** By field number; a function, because messages hold messages of their own kind. */
  readonly fields: () => Readonly<Record<number, FieldKind>>;
  /** Fields that stand once: readers would merge or drop others, each in its own way. */
  readonly single?: readonly number[];
}

export type ProtoValue = number | string | ProtoTree;

/** A message as far as its schema goes: what is large of it stands here as a count. */
export class ProtoTree {
  private readonly values: [field: number, value: ProtoValue][] = [];

  add(field: number, value: ProtoValue): void {
    this.values.push([field, value]);
  }

  /** Adds to the count of a field; false when it is the first of it. */
  tally(field: number, count: number): boolean {
    const known = this.values.find(([own]) => own === field);
    if (known && typeof known[1] === 'number') known[1] += count;
    else this.add(field, count);
    return known !== undefined;
  }

  has(field: number): boolean {
    return this.values.some(([own]) => own === field);
  }

  /** The number of a field, the last one if there are several; 0 where there is none. */
  int(field: number): number {
    return this.ints(field).at(-1) ?? 0;
  }

  ints(field: number): number[] {
    return this.all(field).filter((value) => typeof value === 'number');
  }

  text(field: number): string {
    return this.texts(field).at(-1) ?? '';
  }

  texts(field: number): string[] {
    return this.all(field).filter((value) => typeof value === 'string');
  }

  child(field: number): ProtoTree | undefined {
    return this.children(field)[0];
  }

  children(field: number): ProtoTree[] {
    return this.all(field).filter((value) => value instanceof ProtoTree);
  }

  private all(field: number): ProtoValue[] {
    return this.values.flatMap(([own, value]) => (own === field ? [value] : []));
  }
}
