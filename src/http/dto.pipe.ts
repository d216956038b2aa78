import { type PipeTransform } from '@nestjs/common';
import { validateSync, type ValidationError } from 'class-validator';

import { type Fault, InvalidInputError } from '../common/errors';

type Constructor<T> = new () => T;

/**
 * Checks plain JSON against a class with class-validator rules; unknown keys are faults too.
 *
 * @throws InvalidInputError with every fault and its path
 */
export function parseDto<T extends object>(dto: Constructor<T>, value: unknown, root = ''): T {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidInputError('An object was expected', [
      { path: root, message: 'must be a JSON object' },
    ]);
  }
  const instance = Object.assign(new dto(), value);
  const errors = validateSync(instance, {
    whitelist: true,
    forbidNonWhitelisted: true,
    forbidUnknownValues: true,
  });
  if (errors.length > 0) {
    const faults = errors.flatMap((error) => toFaults(error, root));
    throw new InvalidInputError(
      `The request has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}: ${faults[0]?.message ?? ''}`,
      faults,
    );
  }
  return instance;
}

function toFaults({ property, constraints, children }: ValidationError, parent: string): Fault[] {
  const path = parent === '' ? property : `${parent}.${property}`;
  const own = Object.values(constraints ?? {}).map((message) => ({ path, message }));
  return [...own, ...(children ?? []).flatMap((child) => toFaults(child, path))];
}

/** `parseDto` for a route's parameter: `@JsonBody(new DtoPipe(PromoteDto))`. */
export class DtoPipe<T extends object> implements PipeTransform<unknown, T> {
  constructor(private readonly dto: Constructor<T>) {}

  transform(value: unknown): T {
    return parseDto(this.dto, value);
  }
}
