import { type ModelFiles } from './bench-models';

/** An upload made ready beforehand, so that only sending it is timed. */
export interface UploadBody {
  readonly body: ArrayBuffer;
  readonly contentType: string;
}

export async function uploadBody(files: ModelFiles): Promise<UploadBody> {
  const form = new FormData();
  for (const [path, content] of Object.entries(files)) {
    form.append('file', new Blob([Uint8Array.from(content)]), path);
  }
  const encoded = new Response(form);
  return {
    contentType: encoded.headers.get('content-type') ?? '',
    body: await encoded.arrayBuffer(),
  };
}

/** Uploads a version that the service has not seen; anything but the expected status is a fault. */
export async function upload(
  url: string,
  model: string,
  { body, contentType }: UploadBody,
  dryRun = false,
): Promise<number> {
  const response = await fetch(
    `${url}/api/models/${model}/versions${dryRun ? '?dryRun=true' : ''}`,
    {
      method: 'POST',
      // Making a big model blocks for seconds; a connection kept from before may be closed by then.
      headers: { 'Content-Type': contentType, Connection: 'close' },
      body,
    },
  );
  const text = await response.text();
  if (response.status !== (dryRun ? 200 : 201)) {
    throw new TypeError(`upload of ${model}: ${response.status} ${text}`);
  }
  return (JSON.parse(text) as { version: number }).version;
}

export async function setRecording(
  url: string,
  model: string,
  recording: 'durable' | 'queued' | 'off',
): Promise<void> {
  await send('PATCH', `${url}/api/models/${model}`, { recording });
}

export async function send(
  method: 'POST' | 'PUT' | 'PATCH',
  url: string,
  body?: object,
): Promise<void> {
  const response = await fetch(url, {
    method,
    ...(body
      ? { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
      : {}),
  });
  const text = await response.text();
  if (!response.ok) throw new TypeError(`${url}: ${response.status} ${text}`);
}
