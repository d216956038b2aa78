import {
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  Inject,
  Param,
  Post,
  Put,
  Req,
  Res,
} from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { BadSyntaxError } from '../common/errors';
import { DEFAULT_ALIAS, parseAlias, parseModelName } from '../common/model-ref';
import { decodeCursor, type Page, toPage } from '../common/page';
import { DtoPipe } from '../http/dto.pipe';
import { fingerprintOf, Idempotency, idempotencyKeyOf } from '../http/idempotency.service';
import { JsonBody } from '../http/json-body';
import { limitOf, PAGE_PARAMETERS, readQuery, time } from '../http/query';
import {
  type AliasAnswer,
  type AliasMoveAnswer,
  parseRollbackTarget,
  PromoteDto,
  RollbackDto,
  toAliasAnswer,
  toAliasMoveAnswer,
} from './alias.dto';
import { AliasesService, type MoveOptions } from './aliases.service';
import {
  AliasHistoryDocs,
  GetAliasDocs,
  PromoteDocs,
  RemoveAliasDocs,
  RollbackDocs,
} from './models.docs';
import { PROMOTION_GATE, type PromotionGate } from './promotion-gate.port';

/** Who moved an alias, until there are keys that tell. */
const ANONYMOUS = 'anonymous';

@ApiTags('aliases')
@Controller('api/models/:model')
export class AliasesController {
  constructor(
    private readonly aliases: AliasesService,
    @Inject(PROMOTION_GATE) private readonly gate: PromotionGate,
    private readonly idempotency: Idempotency,
  ) {}

  @Get('aliases/:alias')
  @GetAliasDocs()
  async get(
    @Param('model') model: string,
    @Param('alias') alias: string,
    @Req() request: Request,
  ): Promise<AliasAnswer> {
    const { at } = readQuery(request, { at: time });
    const [name, pointer] = [parseModelName(model), parseAlias(alias)];
    return toAliasAnswer(
      at ? await this.aliases.getAt(name, pointer, at) : await this.aliases.get(name, pointer),
    );
  }

  @Get('aliases/:alias/history')
  @AliasHistoryDocs()
  async history(
    @Param('model') model: string,
    @Param('alias') alias: string,
    @Req() request: Request,
  ): Promise<Page<AliasMoveAnswer>> {
    const query = readQuery(request, PAGE_PARAMETERS);
    const [name, pointer, limit] = [parseModelName(model), parseAlias(alias), limitOf(query)];
    const scope = `history ${name}@${pointer}`;
    const before = query.cursor === undefined ? undefined : decodeCursor(query.cursor, scope)[0];
    const moves = await this.aliases.listHistory(name, pointer, {
      limit: limit + 1,
      ...(before === undefined ? {} : { before: Number(before) }),
    });
    return toPage(moves, limit, scope, ({ revision }) => [revision], toAliasMoveAnswer);
  }

  @Put('aliases/:alias')
  @PromoteDocs()
  async promote(
    @Param('model') model: string,
    @Param('alias') alias: string,
    @JsonBody(new DtoPipe(PromoteDto)) { version, reason = '', require: conditions }: PromoteDto,
    @Headers('if-match') ifMatch: string | undefined,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<AliasAnswer> {
    const [name, pointer] = [parseModelName(model), parseAlias(alias)];
    const options = { ...moveOf(request, reason), ...revisionOf(ifMatch) };
    return await this.idempotency.answer(request, response, {
      fingerprint: fingerprintOf({
        version,
        reason,
        ifMatch,
        ...(conditions ? { conditions } : {}),
      }),
      run: async () => {
        if (conditions) await this.gate.assertMet(name, version, conditions);
        const move = await this.aliases.promote(name, pointer, version, options);
        return { status: 200, body: toAliasAnswer(move) };
      },
    });
  }

  @Delete('aliases/:alias')
  @HttpCode(204)
  @RemoveAliasDocs()
  async remove(
    @Param('model') model: string,
    @Param('alias') alias: string,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<void> {
    await this.aliases.remove(parseModelName(model), parseAlias(alias), {
      movedBy: ANONYMOUS,
      reason: 'removed',
      ...revisionOf(ifMatch),
    });
  }

  @Post('rollback')
  @HttpCode(200)
  @RollbackDocs()
  async rollback(
    @Param('model') model: string,
    @JsonBody(new DtoPipe(RollbackDto)) { alias = DEFAULT_ALIAS, to, reason = '' }: RollbackDto,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<RollbackAnswer> {
    const [name, pointer] = [parseModelName(model), parseAlias(alias)];
    const target = parseRollbackTarget(to);
    return await this.idempotency.answer(request, response, {
      fingerprint: fingerprintOf({ alias, to, reason }),
      run: async () => {
        const options = moveOf(request, reason);
        const { from, move } = await this.aliases.rollback(name, pointer, target, options);
        const { version, revision } = move;
        return { status: 200, body: { alias, from, to: version, revision } };
      },
    });
  }
}

interface RollbackAnswer {
  readonly alias: string;
  readonly from: number | null;
  readonly to: number | null;
  readonly revision: number;
}

function moveOf(request: Request, reason: string): MoveOptions {
  const requestKey = idempotencyKeyOf(request);
  return { movedBy: ANONYMOUS, reason, ...(requestKey === undefined ? {} : { requestKey }) };
}

/** `If-Match: "3"` is the revision that the caller saw; quotes may be left out. */
function revisionOf(ifMatch: string | undefined): { ifRevision?: number } {
  if (ifMatch === undefined || ifMatch === '*') return {};
  const revision = /^"?(\d{1,15})"?$/.exec(ifMatch.trim())?.[1];
  if (revision === undefined) {
    throw new BadSyntaxError('If-Match takes the revision of the alias, e.g. If-Match: "3"');
  }
  return { ifRevision: Number(revision) };
}
