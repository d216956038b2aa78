import { InvalidInputError } from '../common/errors';
import { type Signature } from '../common/tensor';
import { FaultReader } from './fault-reader';
import { defaultMultiply, type ImageInput, imageInputOf } from './image-input';
import {
  CHANNELS,
  type ImageRecipe,
  LAYOUTS,
  MAX_AREA,
  ORIENTATIONS,
  type Recipe,
  RESIZE_METHODS,
  type Scale,
} from './recipe';

/** Of one side; the area has its own limit. */
const MAX_SIDE = 4096;

/**
 * Reads the recipe that an uploader declares and writes out every choice it leaves open.
 *
 * What the model's input fixes need not be said, and must not be contradicted. Without a fixed
 * input (an artifact that is only kept) size and channels have to be said.
 *
 * @throws InvalidInputError with every fault and its path
 */
export function parseRecipe(value: unknown, signature: Signature, path: string): Recipe {
  const reader = new FaultReader();
  const { image } = reader.object(value, path, ['image']);
  const recipe = { image: parseImage(image, signature, `${path}.image`, reader) };
  const [first] = reader.faults;
  if (first) {
    throw new InvalidInputError(
      `The recipe cannot be used: ${first.path} ${first.message}`,
      reader.faults,
    );
  }
  return recipe;
}

function parseImage(
  value: unknown,
  signature: Signature,
  path: string,
  reader: FaultReader,
): ImageRecipe {
  const given = reader.object(value, path, ['orient', 'channels', 'resize', 'scale', 'layout']);
  const layout = reader.oneOf(given['layout'], `${path}.layout`, LAYOUTS, 'hwc');
  const target = imageInputOf(signature, layout);
  if (target === null && signature.inputs.length > 0) {
    reader.fault(
      path,
      `needs a model with one input of shape ${layout === 'hwc' ? '[n, height, width, 1 or 3]' : '[n, 1 or 3, height, width]'}, float32, int32 or uint8`,
    );
  }
  const channels = parseChannels(given['channels'], target, `${path}.channels`, reader);
  return {
    orient: reader.oneOf(given['orient'], `${path}.orient`, ORIENTATIONS, 'exif'),
    channels,
    resize: parseResize(given['resize'], target, `${path}.resize`, reader),
    scale: parseScale(given['scale'], channels, target, `${path}.scale`, reader),
    layout,
  };
}

function parseChannels(
  value: unknown,
  target: ImageInput | null,
  path: string,
  reader: FaultReader,
): ImageRecipe['channels'] {
  const wanted = target?.channels;
  const channels = reader.oneOf(value, path, CHANNELS, wanted ?? 'rgb');
  if (wanted !== undefined && channels !== wanted) {
    reader.fault(path, `must be ${wanted}, as the input of the model has it`);
  }
  return channels;
}

function parseResize(
  value: unknown,
  target: ImageInput | null,
  path: string,
  reader: FaultReader,
): ImageRecipe['resize'] {
  const given = reader.object(value ?? {}, path, ['height', 'width', 'method']);
  const side = (name: 'height' | 'width'): number => {
    const fixed = target?.[name];
    if (given[name] === undefined && fixed !== undefined) return fixed;
    const size = reader.wholeNumber(given[name], `${path}.${name}`, MAX_SIDE);
    if (fixed !== undefined && size !== fixed) {
      reader.fault(`${path}.${name}`, `must be ${fixed}, as the input of the model has it`);
    }
    return size;
  };
  const [height, width] = [side('height'), side('width')];
  if (height * width > MAX_AREA) reader.fault(path, `must ask for at most ${MAX_AREA} pixels`);
  const method = reader.oneOf(given['method'], `${path}.method`, RESIZE_METHODS, 'bilinear');
  return { height, width, method };
}

function parseScale(
  value: unknown,
  channels: ImageRecipe['channels'],
  target: ImageInput | null,
  path: string,
  reader: FaultReader,
): Scale {
  const given = reader.object(value ?? {}, path, ['multiply', 'offset']);
  const count = channels === 'rgb' ? 3 : 1;
  const multiply = defaultMultiply(target?.dtype ?? 'float32');
  return {
    multiply: reader.numbers(given['multiply'], `${path}.multiply`, count, multiply),
    offset: reader.numbers(given['offset'], `${path}.offset`, count, 0),
  };
}
