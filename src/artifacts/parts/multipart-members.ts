import { on } from 'node:events';
import { pipeline, type Readable } from 'node:stream';
import { isNativeError } from 'node:util/types';

import busboy, { type Busboy, type FileInfo } from 'busboy';

import { StoreError } from '../../common/errors';
import { type Member, type PartLimits } from './admission';
import { MultipartSyntaxError, UploadTooLargeError } from './parts.errors';

/** RFC 2046, 5.1.1. */
const MAX_BOUNDARY_CHARACTERS = 70;

/** No form of ours has more; each may be `maxFieldBytes` long. */
const MAX_TEXT_FIELDS = 32;

const ignore = (): void => undefined;

/** @throws MultipartSyntaxError for a content type whose boundary is missing or over-long */
export function requireBoundary(contentType: string): void {
  // Looked at before anything parses the header: its length is the sender's choice.
  const boundary = /;\s*boundary=(?:"([^"]*)"|([^\s;"]*))/i.exec(contentType);
  const text = boundary?.[1] ?? boundary?.[2] ?? '';
  if (text === '') throw new MultipartSyntaxError('The multipart form has no boundary');
  if (text.length > MAX_BOUNDARY_CHARACTERS) {
    throw new MultipartSyntaxError(
      `The boundary of the multipart form is longer than ${MAX_BOUNDARY_CHARACTERS} characters`,
    );
  }
}

/** The file parts of a form, named by their `filename`; text fields go into `fields` as they come. */
export async function* multipartMembers(
  source: Readable,
  contentType: string,
  limits: PartLimits,
  fields: Map<string, string>,
  textFields: readonly string[],
): AsyncGenerator<Member> {
  const form = openForm(contentType, limits, fields);
  pipeline(source, form, ignore);
  let files = 0;
  try {
    for await (const event of on(form, 'file', { close: ['finish', 'close'] })) {
      const [name, body, { filename }] = event as [string | undefined, Readable, FileInfo];
      if (++files > limits.maxParts) throw tooManyFiles(limits);
      if (!name) throw new MultipartSyntaxError('A file part of the form has no field name');
      if (textFields.includes(name)) {
        throw new MultipartSyntaxError(`The field ${name} is text, not a file`);
      }
      if (filename === undefined) {
        throw new MultipartSyntaxError(`The file part ${name} has no filename to be its path`);
      }
      yield { name: filename, kind: 'file', body: bodyOf(body) };
    }
  } catch (error) {
    throw translate(error);
  } finally {
    form.destroy();
  }
}

function openForm(contentType: string, limits: PartLimits, fields: Map<string, string>): Busboy {
  const form = createForm(contentType, limits);
  const refuse = (error: StoreError): void => void form.destroy(error);
  let files = 0;
  // Both kinds of failure are met by whoever iterates; a part no one has got to yet would shout.
  form.on('error', ignore);
  form.on('file', (_name, body) => {
    body.on('error', ignore);
    // Also here, because parts without a byte in them are not held back by anything.
    if (++files > limits.maxParts) refuse(tooManyFiles(limits));
  });
  form.on('field', (name: string | undefined, value, { valueTruncated }) => {
    if (!name) {
      refuse(new MultipartSyntaxError('A text field of the form has no name'));
    } else if (fields.has(name)) {
      refuse(new MultipartSyntaxError(`The field ${name} stands in the form twice`));
    } else if (fields.size === MAX_TEXT_FIELDS) {
      refuse(new MultipartSyntaxError(`The form has more than ${MAX_TEXT_FIELDS} text fields`));
    } else if (valueTruncated) {
      refuse(new UploadTooLargeError(limits.maxFieldBytes));
    } else {
      fields.set(name, value);
    }
  });
  return form;
}

function tooManyFiles({ maxParts }: PartLimits): MultipartSyntaxError {
  return new MultipartSyntaxError(`The form has more than ${maxParts} files`);
}

function createForm(contentType: string, { maxFieldBytes }: PartLimits): Busboy {
  try {
    return busboy({
      headers: { 'content-type': contentType },
      preservePath: true,
      defParamCharset: 'utf8',
      // A part that holds anything at all stops the form until it is read. With the usual buffer
      // per part, a form of many small files would be taken in whole.
      fileHwm: 1,
      // One more than allowed: busboy marks a value that reaches the limit as cut off.
      limits: { fieldSize: maxFieldBytes + 1 },
    });
  } catch (cause) {
    throw new MultipartSyntaxError('The content type of the form cannot be read', {}, { cause });
  }
}

async function* bodyOf(part: Readable): AsyncGenerator<Buffer> {
  try {
    for await (const piece of part) yield piece as Buffer;
  } catch (error) {
    throw translate(error);
  }
}

/** What the form's parser fails with carries no code; a failure of the request comes as it is. */
function translate(error: unknown): unknown {
  if (error instanceof StoreError || !isNativeError(error) || 'code' in error) return error;
  return new MultipartSyntaxError(
    `The multipart form cannot be read: ${error.message}`,
    {},
    { cause: error },
  );
}
