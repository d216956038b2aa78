import { ValidateBy } from 'class-validator';

import { RECORDING_MODES, type RecordingMode } from '../config/config';

/** How the predictions of a model are recorded: all of them, or a random part. */
export type RecordingSetting = RecordingMode | RecordingSample;

export interface RecordingSample {
  readonly mode: RecordingMode;
  /** The part that is recorded, from 0 (none) to 1 (all). */
  readonly rate: number;
}

/** A setting in its one full form. */
export function toSample(setting: RecordingSetting): RecordingSample {
  const { mode, rate } = typeof setting === 'string' ? { mode: setting, rate: 1 } : setting;
  return { mode, rate };
}

export const IsRecording = (): PropertyDecorator =>
  ValidateBy({
    name: 'isRecording',
    validator: {
      validate: isRecording,
      defaultMessage: () =>
        `recording must be one of ${RECORDING_MODES.join(', ')}, or an object of such a mode and a rate from 0 to 1`,
    },
  });

function isRecording(value: unknown): boolean {
  if (isMode(value)) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { mode, rate, ...others } = value as Record<string, unknown>;
  return (
    isMode(mode) &&
    typeof rate === 'number' &&
    rate >= 0 &&
    rate <= 1 &&
    Object.keys(others).length === 0
  );
}

function isMode(value: unknown): boolean {
  return RECORDING_MODES.some((mode) => mode === value);
}
