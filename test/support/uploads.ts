import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { fixturePath } from './fixtures';

export type Files = Readonly<Record<string, Uint8Array | string>>;

/** The files of a model fixture that belong to the model: not its golden outputs and notes. */
export function fixtureFiles(name: string): Record<string, Buffer> {
  const folder = fixturePath(name);
  const notes = /^(golden.*|input)\.json$/;
  return Object.fromEntries(
    readdirSync(folder)
      .filter((file) => !notes.test(file))
      .map((file) => [file, readFileSync(join(folder, file))]),
  );
}

export function toForm(files: Files, metadata?: object): FormData {
  const form = new FormData();
  if (metadata) form.set('metadata', JSON.stringify(metadata));
  for (const [path, content] of Object.entries(files)) {
    form.append('file', new Blob([content]), path);
  }
  return form;
}

/** Uploads files as a new version of a model and gives the answer as it came. */
export async function upload(
  url: string,
  model: string,
  files: Files,
  options: {
    readonly metadata?: object;
    readonly query?: string;
    readonly headers?: Record<string, string>;
  } = {},
): Promise<{ readonly status: number; readonly body: any }> {
  const response = await fetch(`${url}/api/models/${model}/versions${options.query ?? ''}`, {
    method: 'POST',
    body: toForm(files, options.metadata),
    headers: options.headers ?? {},
  });
  return { status: response.status, body: await response.json() };
}

/** Sends JSON and gives status and body of the answer. */
export async function sendJson(
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<{ readonly status: number; readonly body: any; readonly headers: Headers }> {
  const response = await fetch(url, {
    method,
    headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    body: text === '' ? null : JSON.parse(text),
    headers: response.headers,
  };
}

/**
 * Deletes a model or a version as a client does that heeds the answer: again, while the service
 * itself still loads what an upload or an alias just brought. Any other refusal is the answer.
 */
export async function deleteOnceUnread(url: string): Promise<number> {
  for (;;) {
    const { status, body } = await sendJson('DELETE', url);
    if (body?.details?.purpose !== 'load') return status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
