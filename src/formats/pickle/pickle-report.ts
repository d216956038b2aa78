import { quoted } from '../fault-log';
import { isDangerous } from './dangerous-globals';
import { type PickleFindings } from './pickle-walker';

const MAX_LISTED = 40;
const MAX_NAME = 200;

/** What people are told of a pickle: what unpickling it would import, the dangerous ones by themselves. */
export interface PickleReport {
  /** Sentences without the name of the file. */
  readonly notes: readonly string[];
  /** The library whose objects are in it, as far as their names tell. */
  readonly framework: string | null;
  readonly isJoblib: boolean;
}

/** Libraries by the module that their classes come from, the most specific first. */
const LIBRARIES: readonly (readonly [string, string])[] = [
  ['catboost', 'catboost'],
  ['lightgbm', 'lightgbm'],
  ['xgboost', 'xgboost'],
  ['sklearn', 'scikit-learn'],
  ['statsmodels', 'statsmodels'],
  ['spacy', 'spacy'],
  ['gensim', 'gensim'],
  ['keras', 'keras'],
  ['tensorflow', 'tensorflow'],
  ['torch', 'pytorch'],
  ['pandas', 'pandas'],
  ['numpy', 'numpy'],
];

export function reportPickle({ globals, incomplete, damage }: PickleFindings): PickleReport {
  const names = (dangerous: boolean): string[] =>
    globals
      .filter((global) => isDangerous(global) === dangerous)
      .map(({ module, name }) => printable(`${module}.${name}`));
  const notes = listed(names(true)).map(
    (name) => `DANGEROUS: imports ${name}; unpickling it could run whatever its author wants`,
  );
  if (damage !== null) notes.push(`is a damaged pickle: ${damage}`);
  if (incomplete !== null) {
    notes.push(`could not be seen through: ${incomplete}; it may import more than is listed here`);
  }
  const others = names(false);
  if (others.length > 0) notes.push(`imports ${listed(others).join(', ')}`);

  const roots = new Set(globals.map(({ module }) => module.split('.', 1)[0]));
  return {
    notes,
    framework: LIBRARIES.find(([root]) => roots.has(root))?.[1] ?? null,
    isJoblib: roots.has('joblib'),
  };
}

function listed(names: readonly string[]): string[] {
  if (names.length <= MAX_LISTED) return [...names];
  return [...names.slice(0, MAX_LISTED), `${names.length - MAX_LISTED} more`];
}

/** Names are whatever the file says: shown as they are only when they are names. */
function printable(name: string): string {
  return /^[\w.<>-]+$/.test(name) && name.length <= MAX_NAME ? name : quoted(name);
}

/** Fewer instructions than these could be any short text. */
const MIN_STEPS = 4;

/**
 * Whether bytes that do not say that they are a pickle are one all the same: unpickling takes them
 * without the two bytes that most begin with, and runs what comes before anything that is damaged.
 */
export function isLikelyPickle(findings: PickleFindings): boolean {
  const { globals, endsCleanly, steps, calls, isBinary } = findings;
  const areNames = globals.map(({ module, name }) => isName(module) && isName(name));
  const isHarmful = globals.some(
    (global, index) => areNames[index] === true && isDangerous(global),
  );
  if (endsCleanly && (steps >= MIN_STEPS || isHarmful)) return true;
  return calls && (isHarmful || (isBinary && areNames.every((is) => is)));
}

function isName(text: string): boolean {
  return /^[\p{L}_][\p{L}\d_.]*$/u.test(text);
}
