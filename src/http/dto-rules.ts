import {
  registerDecorator,
  ValidateIf,
  validateSync,
  type ValidationOptions,
} from 'class-validator';

import { DTYPE_BYTES } from '../common/tensor';

const MAX_ENTRIES = 100;
const MAX_KEY = 128;
const MAX_TAG_VALUE = 512;
const MAX_JSON_BYTES = 64 * 1024;
const MAX_JSON_DEPTH = 16;

/** Keys that can be stored and asked for: no dots or dollars, which mean something to the database. */
const KEY = /^(?!__proto__$|constructor$|prototype$|_bsontype$)[^.$\0:][^.\0:]*$/;

/** A class-validator rule: the message of the first thing wrong, or null. */
function rule(name: string, judge: (value: unknown) => string | null) {
  return (options?: ValidationOptions) =>
    (target: object, property: string | symbol): void => {
      const propertyName = String(property);
      registerDecorator({
        name,
        target: target.constructor,
        propertyName,
        ...(options ? { options } : {}),
        validator: {
          validate: (value) => judge(value) === null,
          defaultMessage: (args) => `${propertyName} ${judge(args?.value) ?? ''}`,
        },
      });
    };
}

/** May be left out; unlike class-validator's `IsOptional` it does not let null through. */
export const MayBeLeftOut = (): PropertyDecorator =>
  ValidateIf((_dto, value) => value !== undefined);

/** A map of at most 100 short keys to values that `judge` accepts. */
function mapOf(judge: (value: unknown) => boolean, what: string) {
  return (map: unknown): string | null => {
    if (!isRecord(map)) return `must be an object of ${what}`;
    const entries = Object.entries(map);
    if (entries.length > MAX_ENTRIES) return `must have at most ${MAX_ENTRIES} entries`;
    for (const [key, value] of entries) {
      if (key.length > MAX_KEY || !KEY.test(key)) {
        return `has a key that cannot be used: ${JSON.stringify(key.slice(0, 60))} (1 to ${MAX_KEY} characters without dots, colons and a leading dollar)`;
      }
      if (!judge(value)) return `must be an object of ${what}; ${JSON.stringify(key)} is not`;
    }
    return null;
  };
}

export const IsTags = rule(
  'isTags',
  mapOf(
    (value) => typeof value === 'string' && value.length <= MAX_TAG_VALUE && value.isWellFormed(),
    `strings of at most ${MAX_TAG_VALUE} characters`,
  ),
);

export const IsMetrics = rule(
  'isMetrics',
  mapOf((value) => typeof value === 'number' && Number.isFinite(value), 'finite numbers'),
);

/** Free JSON that the database can keep as it is: at most 64 KiB and 16 levels. */
export const IsPlainJson = rule('isPlainJson', (value) => {
  if (!isRecord(value)) return 'must be an object';
  if (!isStorable(value, MAX_JSON_DEPTH)) {
    return `must have at most ${MAX_JSON_DEPTH} levels, and keys without dots and leading dollars`;
  }
  if (JSON.stringify(value).length > MAX_JSON_BYTES)
    return `must be at most ${MAX_JSON_BYTES} bytes`;
  return null;
});

/** An object that satisfies the rules of a class of its own. */
export const IsNested = (dto: new () => object): PropertyDecorator =>
  rule('isNested', (value) => {
    if (!isRecord(value)) return 'must be an object';
    const options = { whitelist: true, forbidNonWhitelisted: true };
    const [first] = validateSync(Object.assign(new dto(), value), options);
    return first ? `has a fault: ${Object.values(first.constraints ?? {}).join(', ')}` : null;
  })();

export const IsSignature = rule('isSignature', (value) => {
  if (!isRecord(value)) return 'must be an object with inputs and outputs';
  if (Object.keys(value).some((key) => key !== 'inputs' && key !== 'outputs')) {
    return 'must have the keys inputs and outputs only';
  }
  for (const side of ['inputs', 'outputs']) {
    const specs = value[side];
    if (!Array.isArray(specs) || specs.length > 256) return `must have a list of ${side}`;
    const faulty = specs.findIndex((spec) => !isTensorSpec(spec));
    if (faulty >= 0) {
      return `has a faulty entry ${side}[${faulty}]: it takes name, dtype (${Object.keys(DTYPE_BYTES).join(', ')}) and shape (whole numbers, -1 for open)`;
    }
    const names = new Set(specs.map((spec: { name: string }) => spec.name));
    if (names.size !== specs.length) return `names one of its ${side} twice`;
  }
  return null;
});

function isTensorSpec(spec: unknown): boolean {
  return (
    isRecord(spec) &&
    Object.keys(spec).every((key) => ['name', 'dtype', 'shape'].includes(key)) &&
    typeof spec['name'] === 'string' &&
    spec['name'].length <= 256 &&
    KEY.test(spec['name']) &&
    typeof spec['dtype'] === 'string' &&
    Object.hasOwn(DTYPE_BYTES, spec['dtype']) &&
    Array.isArray(spec['shape']) &&
    spec['shape'].length <= 16 &&
    spec['shape'].every((size) => Number.isInteger(size) && (size === -1 || size > 0))
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStorable(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  if (depth === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isStorable(item, depth - 1));
  return Object.entries(value).every(
    ([key, member]) => KEY.test(key) && isStorable(member, depth - 1),
  );
}
