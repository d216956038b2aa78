import { type Fault } from '../../src/common/errors';
import { bootService, type BootedService } from '../support/boot';
import { fixtureFiles, upload } from '../support/uploads';

const DIGITS = 'tfjs/digits-cnn-v1.k3h5.fixed';

let service: BootedService;

beforeAll(async () => {
  service = await bootService();
});

afterAll(async () => {
  await service.close();
});

describe('the recipe of a version', () => {
  it('is stored with every choice written out, and makes another version of the same files', async () => {
    const files = fixtureFiles(DIGITS);
    const plain = await upload(service.url, 'recipes', files);
    const recipe = { image: { scale: { multiply: 1 / 16 } } };
    const scaled = await upload(service.url, 'recipes', files, { metadata: { recipe } });
    const again = await upload(service.url, 'recipes', files, { metadata: { recipe } });
    expect([plain.status, scaled.status, again.status]).toEqual([201, 201, 200]);
    expect(plain.body.recipe).toBeNull();
    expect(scaled.body.recipe).toEqual({
      image: {
        orient: 'exif',
        channels: 'gray',
        resize: { height: 8, width: 8, method: 'bilinear' },
        scale: { multiply: 1 / 16, offset: 0 },
        layout: 'hwc',
      },
    });
    expect(scaled.body.digest).not.toBe(plain.body.digest);
  });

  it('is refused with the path of each fault', async () => {
    const recipe = { image: { channels: 'rgb', crop: true } };
    const { status, body } = await upload(service.url, 'faulty', fixtureFiles(DIGITS), {
      metadata: { recipe },
    });
    expect(status).toBe(422);
    expect((body.details.faults as Fault[]).map(({ path }) => path)).toEqual([
      'metadata.recipe.image.crop',
      'metadata.recipe.image.channels',
    ]);
  });
});
