import { Module } from '@nestjs/common';

import { ModelsModule } from '../../models/models.module';
import { PredictionsModule } from '../../predictions/predictions.module';
import { ImageController } from './image.controller';

/** The image service: the three routes that small image classifiers have. */
@Module({ imports: [ModelsModule, PredictionsModule], controllers: [ImageController] })
export class ImageModule {}
