import { type LoggerService } from '@nestjs/common';
import { type Logger, pino } from 'pino';

import { type LogLevel } from '../config/config';

/** Token of the service's one logger. */
export const LOGGER = Symbol('LOGGER');

export type { Logger };

/** JSON lines on standard error: standard output belongs to the start banner and to scripts. */
export function createLogger(level: LogLevel): Logger {
  return pino({ level, base: null }, pino.destination({ dest: 2, sync: true }));
}

/** Sends the framework's own lines through the same logger, its chatter about routes at `debug`. */
export class FrameworkLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown): void {
    this.logger.debug(String(message));
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.logger.error({ details: rest.map(String) }, String(message));
  }

  warn(message: unknown): void {
    this.logger.warn(String(message));
  }

  debug(message: unknown): void {
    this.logger.trace(String(message));
  }
}
