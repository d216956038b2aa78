import { parseArgs } from 'node:util';

import { SingleBar } from 'cli-progress';

import { ApiClient } from './api-client';
import { type DigitSet, readDigits, toInstance } from './digits-data';
import { type Plan, trainDigits } from './train-digits';

const MODEL = 'digits';
const LABELS = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

/** Held-out images that are sent through the service after each step of the story. */
const SHOWN = 100;

interface Lesson {
  /** Value of the tag `seed`, by which a second run finds the version. */
  readonly name: string;
  readonly description: string;
  readonly plan: Plan;
}

const QUICK: Lesson = {
  name: 'quick',
  description: 'One small hidden layer, trained briefly',
  plan: { hiddenUnits: [16], epochs: 4, batchSize: 32, learningRate: 0.003, seed: 7 },
};

const BETTER: Lesson = {
  name: 'better',
  description: 'Two hidden layers, trained until it stopped paying',
  plan: { hiddenUnits: [128, 64], epochs: 25, batchSize: 32, learningRate: 0.002, seed: 11 },
};

interface Version {
  readonly version: number;
  readonly digest: string;
  readonly rawBytes: number;
  readonly storedBytes: number;
  readonly metrics: Readonly<Record<string, number>>;
}

interface PredictAnswer {
  readonly predictionId: string;
  readonly version: number;
  readonly top: readonly (readonly { readonly label: string; readonly score: number }[])[];
}

interface QualityAnswer {
  readonly groups: readonly {
    readonly version: number;
    readonly classification: {
      readonly accuracy: number;
      readonly logLoss: number | null;
      readonly rows: number;
    } | null;
  }[];
}

/** Fills a store with a real example and tells its story; safe to run again. */
class Seeding {
  constructor(
    private readonly api: ApiClient,
    private readonly train: DigitSet,
    private readonly heldOut: DigitSet,
  ) {}

  async run(): Promise<void> {
    const quick = await this.publish(QUICK);
    const before = await this.predictHeldOut(`${MODEL}/versions/${quick.version}`);
    const better = await this.publish(BETTER);
    await this.api.send('PATCH', `/api/models/${MODEL}`, {
      description: 'Handwritten digits, 8x8 gray values from 0 to 1',
      tags: { data: 'UCI optical digits' },
    });

    await this.promote(better.version, 'better on held-out images');
    const after = await this.predictHeldOut(MODEL);
    say(`live answers with version ${after.version}: ${percent(after.accuracy)} of ${SHOWN} right`);

    await this.api.send('POST', `/api/models/${MODEL}/rollback`, {
      alias: 'live',
      to: quick.version,
      reason: 'to show that it works',
    });
    const rolledBack = await this.predictHeldOut(MODEL);
    say(
      `rolled back: live answers with version ${rolledBack.version}, ${percent(rolledBack.accuracy)} right (${percent(before.accuracy)} before)`,
    );

    await this.promote(better.version, 'rollback shown, back to the better one');
    const final = await this.predictHeldOut(MODEL);
    say(`promoted again: live is version ${final.version}, ${percent(final.accuracy)} right`);
    for (const { predictionId, digits } of [before, final]) {
      await this.sendTruth(predictionId, digits);
    }
    await this.tellQuality();
    this.tellUrls(final.predictionId, better.version);
  }

  /** Trains and uploads a version, unless an earlier run did. */
  private async publish(lesson: Lesson): Promise<Version> {
    const found = await this.api.find<{ items: Version[] }>(
      `/api/models/${MODEL}/versions?state=ready&tag=seed:${lesson.name}`,
    );
    const existing = found?.items[0];
    if (existing) {
      say(`version ${existing.version} (${lesson.name}) is there already`);
      return existing;
    }
    const trained = await this.teach(lesson);
    const accuracy = Number(trained.heldOutAccuracy.toFixed(4));
    const version = await this.api.upload<Version>(
      `/api/models/${MODEL}/versions`,
      { 'model.json': trained.modelJson, 'weights.bin': trained.weights },
      {
        description: lesson.description,
        framework: 'TensorFlow.js 4.22',
        trainingParameters: {
          ...lesson.plan,
          optimizer: 'adam',
          trainImages: this.train.digits.length,
        },
        metrics: { accuracy },
        tags: { seed: lesson.name },
        labels: LABELS,
      },
    );
    say(
      `uploaded version ${version.version} (${lesson.name}): ${percent(accuracy)} of ${this.heldOut.digits.length} held-out images right, ${version.rawBytes} bytes stored as ${version.storedBytes}`,
    );
    return version;
  }

  private async teach({ name, plan }: Lesson): ReturnType<typeof trainDigits> {
    const bar = new SingleBar({
      format: `seed: training ${name} [{bar}] epoch {value}/{total} accuracy {accuracy}`,
      // Where nobody watches, a line every few seconds does.
      noTTYOutput: true,
      notTTYSchedule: 5_000,
    });
    bar.start(plan.epochs, 0, { accuracy: '…' });
    try {
      return await trainDigits(plan, this.train, this.heldOut, (epoch, accuracy) => {
        bar.update(epoch, { accuracy: percent(accuracy) });
      });
    } finally {
      bar.stop();
    }
  }

  private async promote(version: number, reason: string): Promise<void> {
    await this.api.send('PUT', `/api/models/${MODEL}/aliases/live`, { version, reason });
  }

  /** Sends held-out images through a model ref and counts what comes back right. */
  private async predictHeldOut(ref: string): Promise<{
    readonly version: number;
    readonly predictionId: string;
    readonly accuracy: number;
    readonly digits: readonly number[];
  }> {
    const images = this.heldOut.images.slice(0, SHOWN);
    const digits = this.heldOut.digits.slice(0, SHOWN);
    const answer = await this.api.send<PredictAnswer>('POST', `/api/models/${ref}/predict`, {
      instances: images.map(toInstance),
      id: 'seed',
      tags: { source: 'seed' },
    });
    const right = answer.top.filter((scores, row) => scores[0]?.label === String(digits[row]));
    const { version, predictionId } = answer;
    return { version, predictionId, accuracy: right.length / digits.length, digits };
  }

  /** Sends what the images really show. */
  private async sendTruth(predictionId: string, digits: readonly number[]): Promise<void> {
    await this.api.send('PUT', `/api/predictions/${predictionId}/feedback`, {
      label: digits.map(String),
      source: 'seed',
    });
  }

  private async tellQuality(): Promise<void> {
    const { groups } = await this.api.get<QualityAnswer>(`/api/models/${MODEL}/quality`);
    for (const { version, classification } of groups) {
      if (!classification) continue;
      const { accuracy, logLoss, rows } = classification;
      say(
        `by feedback, version ${version} is right on ${percent(accuracy)} of ${rows}, log loss ${logLoss?.toFixed(3) ?? 'unknown'}`,
      );
    }
  }

  private tellUrls(predictionId: string, version: number): void {
    const { url } = this.api;
    say('look at');
    say(`  the versions         ${url}/api/models/${MODEL}/versions`);
    say(`  a file of one        ${url}/api/models/${MODEL}/versions/${version}/files/model.json`);
    say(`  every move of live   ${url}/api/models/${MODEL}/aliases/live/history`);
    say(`  what was predicted   ${url}/api/predictions?model=${MODEL}`);
    say(`  how the versions do  ${url}/api/models/${MODEL}/quality`);
    say(`  one, with its input  ${url}/api/predictions/${predictionId}`);
  }
}

function say(text: string): void {
  console.log(`seed: ${text}`);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { url: { type: 'string', default: 'http://127.0.0.1:8501' } },
  });
  const { train, heldOut } = readDigits();
  await new Seeding(new ApiClient(values.url.replace(/\/$/, '')), train, heldOut).run();
}

main().catch((error: unknown) => {
  console.error(`seed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
