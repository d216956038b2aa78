import { NotCompiledError } from '../runtime.errors';
import { activate } from './activations';
import { type Constant } from './constant';
import { type GraphBuilder } from './graph-builder';
import { type Value } from './value';

/** A layer as `model.json` describes it. */
export interface LayerJson {
  readonly class_name: string;
  readonly name?: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inbound_nodes?: readonly unknown[];
}

/** One use of one layer, for the function that compiles layers of its class. */
export interface LayerCall {
  readonly b: GraphBuilder;
  readonly config: LayerConfig;
  readonly inputs: readonly Value[];
  /** True where a time step counts; for the first input. */
  readonly mask: Value | undefined;
  /** Whether nothing else uses the first input. */
  readonly isOnlyUse: boolean;
  readonly weights: LayerWeights;
  /** Compiles a layer that this one wraps. */
  readonly inner: (
    layer: LayerJson,
    weights: LayerWeights,
    inputs: readonly Value[],
  ) => readonly Value[];
}

export type LayerCompiler = (call: LayerCall) => Value | readonly Value[];

/** The weights of a layer, under the names of Keras. */
export class LayerWeights {
  constructor(
    private readonly all: ReadonlyMap<string, Constant>,
    private readonly scope: string,
  ) {}

  get(name: string): Constant {
    const found = this.find(name);
    if (!found) throw new NotCompiledError(`The weight ${this.scope}/${name} is missing`);
    return found;
  }

  find(name: string): Constant | undefined {
    return this.all.get(`${this.scope}/${name}`);
  }

  within(scope: string): LayerWeights {
    return new LayerWeights(this.all, `${this.scope}/${scope}`);
  }

  of(scope: string): LayerWeights {
    return new LayerWeights(this.all, scope);
  }
}

/** The configuration of a layer, read with the types that are expected of it. */
export class LayerConfig {
  constructor(
    readonly className: string,
    private readonly values: Readonly<Record<string, unknown>>,
  ) {}

  number(key: string, otherwise: number): number {
    const value = this.values[key];
    if (value === undefined || value === null) return otherwise;
    if (typeof value === 'number') return value;
    throw this.odd(key);
  }

  flag(key: string, otherwise = false): boolean {
    const value = this.values[key];
    return typeof value === 'boolean' ? value : otherwise;
  }

  text(key: string, otherwise: string): string {
    const value = this.values[key];
    if (value === undefined || value === null) return otherwise;
    if (typeof value === 'string') return value;
    throw this.odd(key);
  }

  /** Numbers, one for each of so many axes; a single one stands for all. */
  perAxis(key: string, axes: number, otherwise: number | readonly number[]): number[] {
    const value = this.values[key] ?? otherwise;
    if (typeof value === 'number') return new Array<number>(axes).fill(value);
    if (isNumbers(value) && value.length === axes) return [...value];
    if (isNumbers(value) && value.length === 1) return new Array<number>(axes).fill(value[0] ?? 1);
    throw this.odd(key);
  }

  /** `[before, after]` for each of two axes. */
  borders(key: string): (readonly [number, number])[] {
    const value = this.values[key] ?? 1;
    const pairs = Array.isArray(value) ? (value as unknown[]) : [value, value];
    return pairs.map((pair) => {
      if (typeof pair === 'number') return [pair, pair];
      if (isNumbers(pair) && pair.length === 2) return [pair[0] ?? 0, pair[1] ?? 0];
      throw this.odd(key);
    });
  }

  /** Whole numbers, `null` among them being open sizes. */
  sizes(key: string): number[] {
    const value = this.values[key];
    if (!Array.isArray(value)) throw this.odd(key);
    return (value as unknown[]).map((size) => {
      if (size === null || size === undefined) return -1;
      if (typeof size === 'number') return size;
      throw this.odd(key);
    });
  }

  raw(key: string): unknown {
    return this.values[key];
  }

  /** The name of a function, which some writers wrap in an object, in snake case. */
  activation(key = 'activation', otherwise = 'linear'): string {
    const value = this.values[key] ?? otherwise;
    const name = typeof value === 'object' && 'class_name' in value ? value.class_name : value;
    if (typeof name !== 'string') throw this.odd(key);
    return name.replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();
  }

  /** @throws NotCompiledError unless the channels are the last axis */
  assertChannelsLast(): void {
    const order = this.text('data_format', 'channels_last')
      .replace(/([A-Z])/g, '_$1')
      .toLowerCase();
    if (order !== 'channels_last') {
      throw new NotCompiledError(`${this.className} with ${order} is not compiled`);
    }
  }

  private odd(key: string): NotCompiledError {
    return new NotCompiledError(`${this.className} with this ${key} is not compiled`, { key });
  }
}

/** The only input of a layer that has one. */
export function onlyInput({ inputs, config }: LayerCall): Value {
  const [input] = inputs;
  if (!input || inputs.length > 1) {
    throw new NotCompiledError(`${config.className} with ${inputs.length} inputs is not compiled`);
  }
  return input;
}

export function activated(call: LayerCall, x: Value): Value {
  return activate(call.b, x, call.config.activation());
}

function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'number');
}
