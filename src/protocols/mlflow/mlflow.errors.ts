import { StoreError } from '../../common/errors';

/** A registered model of that name stands already; registering clients go on from here. */
export class RegisteredModelExistsError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'registered_model_exists';
}

/** Something that the protocol has and this store does not. */
export class NotImplementedError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'not_implemented';
}

/** A route that this part of the protocol does not have. */
export class EndpointNotFoundError extends StoreError {
  override readonly kind = 'not_found';
  override readonly code = 'endpoint_not_found';
}

/** The folder of the versions takes no uploads and no deletions: the registry is for these. */
export class VersionFolderError extends StoreError {
  override readonly kind = 'forbidden';
  override readonly code = 'version_folder';
}
