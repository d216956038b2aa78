import {
  Controller,
  Get,
  HttpCode,
  Inject,
  Param,
  Post,
  Req,
  Res,
  UseFilters,
} from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { InvalidInputError } from '../../common/errors';
import { isModelName, type ModelRef, parseModelRef } from '../../common/model-ref';
import { type NamedTensors } from '../../common/tensor';
import { type Config } from '../../config/config';
import { CONFIG } from '../../config/config.tokens';
import { limitOf, PAGE_PARAMETERS, readQuery, text, textThat } from '../../http/query';
import { UnsupportedMediaTypeError } from '../../http/raw-body';
import { whenGone } from '../../http/when-gone';
import { assertServable } from '../../models/servable.policy';
import { VersionResolver } from '../../models/version-resolver.service';
import { readImages } from '../../predictions/image-inputs';
import { bringsImages, readImageRequest } from '../../predictions/image-request';
import { PredictService } from '../../predictions/predict.service';
import { PredictionRecords } from '../../predictions/prediction-records.service';
import { PredictionNotFoundError } from '../../predictions/predictions.errors';
import { parsePredictionId } from '../../predictions/prediction-id';
import { flatJson, type JsonElement } from '../../predictions/tensor-json';
import {
  highest,
  type ImageAnswer,
  type RecordedImageAnswer,
  toRecordedImage,
} from './image-answer';
import { ImageErrorFilter } from './image-error.filter';
import { GetImageDocs, ListImagesDocs, PredictImageDocs } from './image.docs';

/** The image service: one image in, its class out, as small classifiers in Python answer it. */
@ApiTags('image service')
@Controller()
@UseFilters(ImageErrorFilter)
export class ImageController {
  constructor(
    private readonly resolver: VersionResolver,
    private readonly service: PredictService,
    private readonly records: PredictionRecords,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Post('prediction')
  @HttpCode(200)
  @PredictImageDocs()
  async predict(
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<ImageAnswer> {
    const startedAtMs = performance.now();
    const ref = this.refOf(readQuery(request, { model: text }).model);
    assertImages(request);
    const resolved = await this.resolver.resolve(ref);
    assertServable(resolved.version);
    const { images, ...asked } = await readImageRequest(request, this.config.maxBodyBytes);
    if (images.length > 1) {
      throw new InvalidInputError('This route takes one image', [
        { path: 'file', message: `stands ${images.length} times` },
      ]);
    }
    const read = await readImages(images, resolved.version);
    const predicted = await this.service.predict({
      ...asked,
      ...read,
      resolved,
      protocol: 'image',
      tags: {},
      startedAtMs,
      encode: firstValues,
      signal: whenGone(response),
    });
    const { predictionId, answer, top } = predicted;
    response.setHeader('Gridstow-Prediction-Id', predictionId);
    response.setHeader('Gridstow-Version', resolved.version.version);
    return {
      filename: read.input.filename ?? null,
      contenttype: read.input.contentType,
      prediction: answer,
      likely_class: top?.[0]?.[0]?.label ?? highest(answer),
      input_id: read.input.digest,
      prediction_id: predictionId,
    };
  }

  @Get('predictions')
  @ListImagesDocs()
  async list(@Req() request: Request): Promise<RecordedImageAnswer[]> {
    const query = readQuery(request, {
      model: textThat(isModelName, 'a model name'),
      before: text,
      limit: PAGE_PARAMETERS.limit,
    });
    const { model, before } = query;
    const found = await this.records.listImages(model === undefined ? {} : { model }, {
      limit: limitOf(query),
      ...(before === undefined ? {} : { before: parsePredictionId(before) }),
    });
    return found.map(toRecordedImage);
  }

  @Get('prediction/:id')
  @GetImageDocs()
  async get(
    @Param('id') id: string,
    @Req() request: Request,
  ): Promise<RecordedImageAnswer & { readonly input_image: string | null }> {
    readQuery(request, {});
    const { prediction, content } = await this.records.getWithContent(parsePredictionId(id));
    if (prediction.protocol !== 'image') {
      throw new PredictionNotFoundError(
        `Prediction ${id} was not made by the image service; see /api/predictions/${id}`,
        { predictionId: id },
      );
    }
    return { ...toRecordedImage(prediction), input_image: content?.toString('base64') ?? null };
  }

  /** @throws InvalidInputError when neither the request nor the settings name a model */
  private refOf(given: string | undefined): ModelRef {
    const ref = given ?? this.config.defaultModel;
    if (ref === undefined) {
      throw new InvalidInputError('Name a model with ?model=, or set GRIDSTOW_DEFAULT_MODEL', [
        { path: 'model', message: 'is missing' },
      ]);
    }
    return parseModelRef(ref);
  }
}

/** @throws UnsupportedMediaTypeError */
function assertImages(request: Request): void {
  if (bringsImages(request)) return;
  throw new UnsupportedMediaTypeError(
    'Send the image as the field file of a form, or as the body with its image type',
    { contentType: (request.header('Content-Type') ?? '').slice(0, 120) },
  );
}

function firstValues(outputs: NamedTensors): readonly JsonElement[] {
  const [first] = Object.values(outputs);
  return first ? flatJson(first) : [];
}
