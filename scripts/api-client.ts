/** The few routes that the scripts call, with failures as the sentence that the service gave. */
export class ApiClient {
  constructor(readonly url: string) {}

  async get<T>(path: string): Promise<T> {
    return (await this.request(path, {})) as T;
  }

  /** Like `get`, but null where the service has no such thing. */
  async find<T>(path: string): Promise<T | null> {
    const response = await fetch(`${this.url}${path}`);
    if (response.status === 404) return null;
    return (await this.answer(response, path)) as T;
  }

  async send<T>(method: 'POST' | 'PUT' | 'PATCH', path: string, body: unknown): Promise<T> {
    const headers = { 'Content-Type': 'application/json' };
    return (await this.request(path, { method, headers, body: JSON.stringify(body) })) as T;
  }

  /** Uploads files under the paths they have in the artifact. */
  async upload<T>(
    path: string,
    files: Readonly<Record<string, string | Uint8Array>>,
    metadata: object,
  ): Promise<T> {
    const form = new FormData();
    form.set('metadata', JSON.stringify(metadata));
    for (const [name, content] of Object.entries(files)) {
      form.append('file', new Blob([content]), name);
    }
    return (await this.request(path, { method: 'POST', body: form })) as T;
  }

  private async request(path: string, options: RequestInit): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(`${this.url}${path}`, options);
    } catch (cause) {
      throw new TypeError(`No service answers at ${this.url}; is it running?`, { cause });
    }
    return await this.answer(response, path);
  }

  private async answer(response: Response, path: string): Promise<unknown> {
    const body = (response.status === 204 ? null : await response.json()) as { error?: string };
    if (response.ok) return body;
    throw new TypeError(`${path}: ${response.status} ${body.error ?? ''}`);
  }
}
