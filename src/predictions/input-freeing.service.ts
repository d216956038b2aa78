import { setTimeout as sleep } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';

import { HoldsRepository } from '../models/holds.repository';
import { AuditRepository } from './audit.repository';
import { InputsStore } from './inputs.store';

const PAGE = 500;
/** Inputs that are freed in one transaction. */
const FREED_TOGETHER = 100;

/**
 * How long an input has to be without a prediction before it is freed: far longer than a record
 * can arrive after its input was looked for (`RecordWriter`).
 */
export const FREEING_GRACE_MS = 3_600_000;

export interface FreeingOptions {
  readonly graceMs: number;
  readonly pauseMs: number;
  readonly stillLeads: () => Promise<boolean>;
}

/** Inputs and bytes that are gone, and inputs that nobody refers to and whose time has not come. */
export interface FreedInputs {
  readonly inputs: number;
  readonly bytes: number;
  readonly waiting: number;
}

/**
 * Frees the inputs that no prediction refers to, with their bytes in the bucket.
 *
 * It takes two looks, a grace apart. The first leaves a mark on what nobody refers to; everybody
 * who stores the same input again takes the mark away. The second frees what still has its mark
 * and still no prediction, in a transaction that whoever takes the mark away makes start again. So
 * a prediction either finds its input there, or finds it gone and stores it; what it takes for
 * stored without looking was there a minute ago, and cannot go before the grace is over.
 */
@Injectable()
export class InputFreeing {
  constructor(
    private readonly inputs: InputsStore,
    private readonly holds: HoldsRepository,
    private readonly audit: AuditRepository,
  ) {}

  async free({ graceMs, pauseMs, stillLeads }: FreeingOptions): Promise<FreedInputs> {
    let waiting = 0;
    for await (const page of this.inputs.pages(PAGE)) {
      if (!(await stillLeads())) return { inputs: 0, bytes: 0, waiting };
      waiting += await this.inputs.markUnused(page);
      await sleep(pauseMs);
    }
    const entry = { _id: this.audit.newId(), action: 'inputs_freed', at: new Date() } as const;
    let [inputs, bytes] = [0, 0];
    for (let after = ''; ;) {
      const page = await this.inputs.listUnused(graceMs, FREED_TOGETHER, after);
      if (page.length === 0 || !(await stillLeads())) break;
      after = page.at(-1) ?? after;
      const gone = await this.holds.exclusively(async (session) => {
        const held = await this.holds.heldAmong('input', page, session);
        const open = page.filter((digest) => !held.has(digest));
        const removed = await this.inputs.removeUnused(open, graceMs, session);
        if (removed.inputs > 0) {
          const counts = { inputs: removed.inputs, bytes: removed.bytes };
          await this.audit.add(entry, counts, session);
        }
        return removed;
      });
      await this.inputs.freeFiles(gone);
      inputs += gone.inputs;
      bytes += gone.bytes;
      await sleep(pauseMs);
    }
    if (inputs > 0) await this.audit.complete(entry._id);
    if (await stillLeads()) await this.finish();
    return { inputs, bytes, waiting: waiting - inputs };
  }

  /** Bytes that a crash left behind: of erased inputs, and of what never became an input or was one. */
  private async finish(): Promise<void> {
    for (const input of await this.inputs.listErasedWithFile()) {
      await this.inputs.freeErased(input);
      await this.audit.complete(input.erased.auditId);
    }
    await this.inputs.removeLooseFiles();
  }
}
