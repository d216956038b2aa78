import { type Comparison, type Spread } from './alternate';
import { type KeptResult, type ResultsFile } from './report';

/** A file of bench/results with the name of its bench. */
export interface Measured extends ResultsFile {
  readonly name: string;
}

const INTRODUCTION = `# Figures

Made by \`npm run figures\` from what \`npm run bench\` wrote to \`bench/results\`; nothing here is typed by hand. All contenders of a table ran in turn in one run on one machine, which client, service and database share. A ratio is ours divided by the other, taken within each round: the median, and in brackets the smallest and the largest. Below 1 it is a loss.
`;

/** All results as one page. */
export function figuresDocument(measured: readonly Measured[]): string {
  const sections = measured.map((run) =>
    [heading(run), ...run.results.map((result) => section(result, run))].join('\n'),
  );
  return [INTRODUCTION, ...sections].join('\n');
}

function heading({ name, date, commit, node, engine, machine }: Measured): string {
  const { cpu, cores, memoryGiB, platform } = machine;
  return `## ${name}

${date.slice(0, 10)}, commit ${commit}, Node ${node.replace(/^v/, '')}, engine ${engine}, ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${platform}.
`;
}

function section(result: KeptResult, run: Measured): string {
  const { question, unit, rounds, figures, comparisons, notes, measured = run } = result;
  const ours = [...new Set(comparisons.map((comparison) => comparison.ours))];
  const rows = figures.map(({ name, role, perSecond, details }) => {
    const others = Object.entries(details).map(([key, value]) => `${key} ${digits(value)}`);
    const ratios = ours.map((one) => ratio(comparisons, one, name));
    return row([name, role, show(perSecond), ...ratios, others.join(', ')]);
  });
  const titles = ['', 'role', unit, ...ours.map((_, index) => title(ours, index)), ''];
  const lines = [
    `### ${question}`,
    '',
    ...(rounds > 1 ? [`${rounds} rounds.`, ''] : []),
    // The heading speaks of the newest run; what a slice of it did not measure again is older.
    ...(measured.commit === run.commit ? [] : [`Measured at commit ${measured.commit}.`, '']),
    row(titles),
    row(titles.map(() => '---')),
    ...rows,
    '',
    ...notes.flatMap((note) => [note, '']),
  ];
  return lines.join('\n');
}

function title(ours: readonly string[], index: number): string {
  return ours.length === 1 ? 'ours is … times this' : `line ${index + 1} is … times this`;
}

function ratio(comparisons: readonly Comparison[], ours: string, other: string): string {
  const found = comparisons.find((one) => one.ours === ours && one.other === other);
  return found ? show(found.ratio) : '';
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function show({ median, min, max }: Spread): string {
  return min === max ? digits(median) : `${digits(median)} (${digits(min)} to ${digits(max)})`;
}

function digits(figure: number): string {
  return figure >= 100 ? figure.toFixed(0) : figure.toPrecision(figure >= 10 ? 3 : 2);
}
