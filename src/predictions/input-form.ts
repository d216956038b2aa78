import { digestBytes, digestText } from './input-digest';
import { toHeader, toTensorText, USUAL } from './prediction-form';
import { type InputDoc, type PredictionInput, type StoredInput } from './prediction.doc';
import { encodeFileHeader } from './tensor-file';

type Place = Pick<InputDoc, 'tensors' | 'content'> | Pick<InputDoc, 'file' | 'erased'>;

export function toInputDoc(
  { digest, kind, bytes, contentType }: Omit<PredictionInput, 'content'>,
  place: Place,
): InputDoc {
  return {
    _id: digestBytes(digest),
    ...(kind === USUAL.kind ? {} : { kind }),
    bytes,
    ...(contentType === USUAL.contentType ? {} : { contentType }),
    ...place,
  };
}

/**
 * The bytes of an input as they stand in its document. The header of a tensor file can be longer
 * than its values: where it follows from the names, types and shapes, only these are kept.
 */
export function inlineContent({ tensors, content }: PredictionInput): Place {
  const header = tensors ? encodeFileHeader(tensors) : null;
  if (!tensors || !header?.equals(content.subarray(0, header.length))) return { content };
  return { tensors: tensors.map(toTensorText), content: content.subarray(header.length) };
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
