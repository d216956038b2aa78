import { Injectable, type NestMiddleware } from '@nestjs/common';
import { type NextFunction, type Request, type Response } from 'express';

import { DatabaseService } from '../mongo/database.service';

/** Refuses requests that need the database until its schema stands: without the unique indexes nothing is safe. */
@Injectable()
export class RequireDatabase implements NestMiddleware {
  constructor(private readonly database: DatabaseService) {}

  use(_request: Request, _response: Response, next: NextFunction): void {
    this.database.assertPrepared();
    next();
  }
}
