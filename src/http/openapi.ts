import { type INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';

import { SERVICE_VERSION } from '../common/service-version';

/** Routes that no controller declares, under a heading of their own. */
export interface DocumentedRoutes {
  readonly tag: { readonly name: string; readonly description: string };
  readonly paths: OpenAPIObject['paths'];
}

/** Serves the API's description at `/api/openapi.json` and as pages at `/api/docs`. */
export function serveOpenApi(app: INestApplication, others: readonly DocumentedRoutes[]): void {
  const outline = new DocumentBuilder()
    .setTitle('Gridstow')
    .setDescription(
      'Models, versions, aliases, predictions and their inputs in one MongoDB database. Errors, everywhere: `{ error, code, details, requestId }`.',
    )
    .setVersion(SERVICE_VERSION)
    .setLicense('Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0')
    .addTag('models', 'Named streams of versions')
    .addTag('versions', 'Upload, search, describe, delete')
    .addTag('files', 'Byte-exact downloads')
    .addTag('aliases', 'Promote, roll back, look up any time in the past')
    .addTag('predictions', 'Predict, and what was recorded')
    .addTag('quality', 'How versions do on what was recorded')
    .addTag('jobs', 'Work that goes on behind a request')
    .addTag('image service', 'One image in, its class out')
    .addTag('mlflow', 'The same models, versions and aliases for clients of MLflow')
    .addTag('open inference protocol', 'Open Inference Protocol v2, as Triton and KServe have it')
    .addTag('runtime', 'What is in memory')
    .addTag('operations', 'Health')
    .build();
  const document = SwaggerModule.createDocument(app, outline);
  for (const { tag, paths } of others) {
    document.tags?.push(tag);
    Object.assign(document.paths, paths);
  }
  SwaggerModule.setup('api/docs', app, document, { jsonDocumentUrl: 'api/openapi.json' });
}
