import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Change streams and the write concerns that the store relies on behave alike from here on. */
const OLDEST_MAJOR = 6;
const RUN_TIMEOUT_MS = 30_000;

/** Debian's and Ubuntu's names of the packages behind the libraries a MongoDB build asks for. */
const PACKAGE_OF_LIBRARY: readonly (readonly [RegExp, string])[] = [
  [/^libcurl\.so\.4$/, 'libcurl4'],
  [/^lib(ssl|crypto)\.so\.3$/, 'libssl3'],
  [/^lib(ssl|crypto)\.so\.1\.1$/, 'libssl1.1'],
  [/^liblzma\.so\.5$/, 'liblzma5'],
  [/^lib(ldap|lber)-2\.5\.so\.0$/, 'libldap-2.5-0'],
  [/^lib(ldap|lber)(_r)?-2\.4\.so\.2$/, 'libldap-2.4-2'],
  [/^libsasl2\.so\.2$/, 'libsasl2-2'],
  [/^libgssapi_krb5\.so\.2$/, 'libgssapi-krb5-2'],
  [/^libstdc\+\+\.so\.6$/, 'libstdc++6'],
];

/** Why a binary cannot serve as the embedded database, in words; null when it can. */
export async function inspectMongod(binary: string): Promise<string | null> {
  let output: string;
  try {
    output = (await run(binary, ['--version'], { timeout: RUN_TIMEOUT_MS })).stdout;
  } catch (error) {
    return (await missingLibraries(binary, error)) ?? `it does not run: ${firstLine(error)}`;
  }
  const version = /db version v(\d+)\.(\d+\.\d+)/.exec(output);
  if (!version) return 'it does not answer --version as a mongod does';
  return Number(version[1]) < OLDEST_MAJOR
    ? `it is MongoDB ${version[1] ?? ''}.${version[2] ?? ''}, and ${String(OLDEST_MAJOR)} or later is needed`
    : null;
}

/** The loader names only the first library it misses; `ldd` names them all. */
async function missingLibraries(binary: string, error: unknown): Promise<string | null> {
  const first = /([\w.+-]+\.so[\w.]*): cannot open shared object/.exec(stderrOf(error))?.[1];
  if (first === undefined) return null;
  const listing = await run('ldd', [binary]).then(
    ({ stdout }) => stdout,
    () => '',
  );
  const all = [...listing.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1] ?? '');
  return describeMissingLibraries([...new Set([first, ...all])]);
}

/** The sentence for libraries that the loader does not find. */
export function describeMissingLibraries(libraries: readonly string[]): string {
  const packages = libraries.flatMap(
    (library) => PACKAGE_OF_LIBRARY.find(([pattern]) => pattern.test(library))?.[1] ?? [],
  );
  const missing = `it needs ${libraries.join(', ')}, which this system lacks`;
  if (packages.length === 0) return missing;
  return `${missing}; on Debian or Ubuntu run: apt-get install -y ${[...new Set(packages)].join(' ')}`;
}

function stderrOf(error: unknown): string {
  const { stderr } = error as { stderr?: unknown };
  return typeof stderr === 'string' ? stderr : '';
}

function firstLine(error: unknown): string {
  const text = stderrOf(error).trim() || (error instanceof Error ? error.message : String(error));
  return text.split('\n', 1)[0] ?? '';
}
