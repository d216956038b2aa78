import { InvalidInputError } from './errors';

const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const ALIAS = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
const VERSION = /^[1-9][0-9]{0,14}$/;

/** The alias that a bare model name means. */
export const DEFAULT_ALIAS = 'live';

/** A model name with the version or the alias that picks one of its versions. */
export type ModelRef =
  | { readonly model: string; readonly version: number }
  | { readonly model: string; readonly alias: string };

export function isModelName(text: string): boolean {
  return MODEL_NAME.test(text) && !text.includes('..');
}

/** `latest` and `v<number>` would read as versions, so no alias may be called that. */
export function isAlias(text: string): boolean {
  return ALIAS.test(text) && text !== 'latest' && !/^v[0-9]+$/i.test(text);
}

/** @throws InvalidInputError when the text is no model name */
export function parseModelName(text: string): string {
  if (!isModelName(text)) {
    throw new InvalidInputError(
      'A model name is 1 to 128 letters, digits, dots, dashes and underscores, and starts with a letter or digit',
      [{ path: 'model', message: `not a model name: ${excerpt(text)}` }],
    );
  }
  return text;
}

/** @throws InvalidInputError when the text is no alias */
export function parseAlias(text: string): string {
  if (!isAlias(text)) {
    throw new InvalidInputError(
      'An alias is 1 to 64 letters, digits, dashes and underscores, starts with a letter, and is neither latest nor v<number>',
      [{ path: 'alias', message: `not an alias: ${excerpt(text)}` }],
    );
  }
  return text;
}

/** @throws InvalidInputError when the text is no positive integer */
export function parseVersion(text: string): number {
  if (!VERSION.test(text)) {
    throw new InvalidInputError('A version is a positive whole number', [
      { path: 'version', message: `not a version: ${excerpt(text)}` },
    ]);
  }
  return Number(text);
}

/** Reads `digits`, `digits@canary` and `digits/versions/3`, as they stand in a path. */
export function parseModelRef(text: string): ModelRef {
  const versioned = /^([^/@]+)\/versions\/([^/]+)$/.exec(text);
  if (versioned) {
    return { model: parseModelName(versioned[1] ?? ''), version: parseVersion(versioned[2] ?? '') };
  }
  const at = text.indexOf('@');
  if (at < 0) return { model: parseModelName(text), alias: DEFAULT_ALIAS };
  return { model: parseModelName(text.slice(0, at)), alias: parseAlias(text.slice(at + 1)) };
}

/**
 * Reads `gridfs://digits`, `gridfs://digits@canary`, `gridfs://digits/3`, and the same after
 * `models:/`, as the library and the command line take them.
 */
export function parseModelUrl(url: string): ModelRef {
  const match = /^(?:gridfs:\/\/|models:\/)([^/]+)(?:\/([^/]+))?$/.exec(url);
  if (!match) {
    throw new InvalidInputError(
      'A model URL reads gridfs://name, gridfs://name@alias or gridfs://name/version',
      [{ path: 'url', message: `not a model URL: ${excerpt(url)}` }],
    );
  }
  const [, name = '', version] = match;
  if (version === undefined) return parseModelRef(name);
  return { model: parseModelName(name), version: parseVersion(version) };
}

/** Text from outside, made short and harmless enough for a message. */
function excerpt(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
