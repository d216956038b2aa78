/** Texts of the oldest protocol, which are lines in which anything can be escaped. */
const latin1 = new TextDecoder('latin1');

const ONE_CHARACTER: Readonly<Record<string, string>> = {
  '\n': '',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** Reads what Python calls raw-unicode-escape: `\u006f` is an o, and every other escape is plain. */
export function readUnicodeLine(line: Uint8Array): string {
  return latin1
    .decode(line)
    .replace(
      /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|.)/g,
      (whole, short?: string, long?: string) => fromCode(short ?? long, 16) ?? whole,
    );
}

/** Reads the inside of a text in quotes, with the escapes of a Python literal of bytes. */
export function readQuotedText(text: string): string {
  return text.replace(
    /\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|([^]))/g,
    (whole, hex?: string, octal?: string, one = '') =>
      fromCode(hex, 16) ??
      fromCode(octal, 8) ??
      ONE_CHARACTER[one as string] ??
      ('\\\'"'.includes(one as string) ? (one as string) : whole),
  );
}

function fromCode(digits: string | undefined, base: number): string | undefined {
  const code = digits === undefined ? NaN : Number.parseInt(digits, base);
  return code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
}
