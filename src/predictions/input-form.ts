import { digestBytes, digestText } from './input-digest';
import { toHeader, toTensorText, USUAL } from './prediction-form';
import {
  type InputDoc,
  type PredictionInput,
  type StoredInput,
  type TensorHeader,
} from './prediction.doc';
import { encodeFileHeader } from './tensor-file';

/** Where the bytes of an input are, or why they are gone. */
type Place = Pick<InputDoc, 'tensors' | 'content' | 'file' | 'erased'>;

export function toInputDoc(
  { digest, kind, bytes, contentType }: Omit<PredictionInput, 'content'>,
  { tensors, content, file, erased }: Place,
): InputDoc {
  return {
    _id: digestBytes(digest),
    kind: kind === USUAL.kind ? undefined : kind,
    bytes,
    contentType: contentType === USUAL.contentType ? undefined : contentType,
    tensors,
    content,
    file,
    erased,
  };
}

/** Predictions that come together are mostly of one model and shape. */
let lastHeader: { readonly of: readonly string[]; readonly header: Buffer | null } = {
  of: [],
  header: encodeFileHeader([]),
};

/**
 * The bytes of an input as they stand in its document. The header of a tensor file can be longer
 * than its values: where it follows from the names, types and shapes, only these are kept.
 */
export function inlineContent({ tensors, content }: PredictionInput): Place {
  if (!tensors) return { content };
  const texts = tensors.map(toTensorText);
  const header = headerOf(tensors, texts);
  if (!header?.equals(content.subarray(0, header.length))) return { content };
  return { tensors: texts, content: content.subarray(header.length) };
}

function headerOf(tensors: readonly TensorHeader[], texts: readonly string[]): Buffer | null {
  const { of } = lastHeader;
  if (texts.length !== of.length || texts.some((text, place) => text !== of[place])) {
    lastHeader = { of: texts, header: encodeFileHeader(tensors) };
  }
  return lastHeader.header;
}

export function toStoredInput(doc: InputDoc): StoredInput {
  const { _id, kind, bytes, contentType, file, erased } = doc;
  const content = contentOf(doc);
  return {
    digest: digestText(_id),
    kind: kind ?? USUAL.kind,
    bytes,
    contentType: contentType ?? USUAL.contentType,
    ...(content ? { content } : {}),
    ...(file ? { file } : {}),
    ...(erased ? { erased } : {}),
  };
}

function contentOf({ tensors, content }: InputDoc): Buffer | null {
  if (!content) return null;
  const header = tensors ? encodeFileHeader(tensors.map(toHeader)) : null;
  return Buffer.concat(header ? [header, content] : [content]);
}
