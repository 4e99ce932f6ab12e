import { styleText } from 'node:util'
import { toSentence } from '../checks/finding.ts'
import type { Status } from '../checks/status.ts'
import { printable, prose } from '../printable.ts'
import type { CheckReport, Report, ReportedCheck, StackReport } from './report.ts'
import { age, countRows, inWords, type Row, rowsOf } from './rows.ts'

export interface TextOptions {
  /** Whether to colour: the caller knows the terminal and `NO_COLOR`. */
  readonly color: boolean
}

/** Prose is broken at this column; images and commands never are, so that they can be copied. */
const width = 96

const labelWidth = 10

type Place = NonNullable<Report['discovery']>[number]

type Difference = ReportedCheck['differences'][number]

type Style = Parameters<typeof styleText>[0]

type Paint = (style: Style, text: string) => string

/** A report, or a part of one, as the table that a person reads at 3 a.m.: the worst on top. */
export function renderText(report: Report | StackReport | CheckReport, { color }: TextOptions): string {
  const paint: Paint = color ? (style, text) => styleText(style, text, { validateStream: false }) : (_, text) => text
  const rows = rowsOf(report).map(({ stack, check }) => ({ stack: printable(stack), check }))
  const stackWidth = Math.max(0, ...rows.map(({ stack }) => stack.length))
  const checkWidth = Math.max(0, ...rows.map(({ check }) => check.check.length))
  const blocks = rows.map(({ stack, check }) => {
    const title = `${stack.padEnd(stackWidth)}  ${check.check.padEnd(checkWidth)}`
    return [headLine(title, check, report.generatedAt, paint), ...bodyLines(check, report.generatedAt, paint)]
  })
  const places = 'discovery' in report ? (report.discovery ?? []) : []
  const doubts = places.filter(({ status, error }) => status !== 'in_sync' || error !== null)
  const discovery = doubts.map(place => placeLines(place, report.generatedAt, paint))
  const config = 'config' in report && report.config ? configLines(report.config, report.generatedAt, paint) : []
  const problems = 'problems' in report ? (report.problems ?? []) : []
  const labels = problems.flatMap(message => proseLines('problem', message, paint))
  return `${[[topLine(report, rows, paint), ...config, ...labels], ...discovery, ...blocks].map(lines => lines.join('\n')).join('\n\n')}\n`
}

const styles = {
  drifted: ['bold', 'red'],
  unknown: ['bold', 'magenta'],
  pending: ['bold', 'yellow'],
  in_sync: ['bold', 'green'],
} as const satisfies Record<Status, Style>

function topLine(report: Report | StackReport | CheckReport, rows: readonly Row[], paint: Paint): string {
  const { status, generatedAt, cycle } = report
  const when = cycle ? `cycle ${cycle.id}` : 'no cycle has completed yet'
  return `${paintStatus(status, paint)}  ${countRows(rows)}  ${paint('dim', `${generatedAt}, ${when}`)}`
}

function headLine(title: string, check: ReportedCheck, now: string, paint: Paint): string {
  return `${paintStatus(check.status, paint)}  ${title}  ${paint('dim', `since ${age(check.since, now)}`)}`
}

function configLines({ error, needRestart }: NonNullable<Report['config']>, now: string, paint: Paint): string[] {
  return [
    ...(error ? proseLines('config', `refused ${age(error.at, now)}: ${error.message}`, paint) : []),
    ...(needRestart.length > 0 ? proseLines('config', `${needRestart.join(', ')} count after a restart`, paint) : []),
  ]
}

/** A place whose stacks are not all known for sure: above them, since nobody can see what is missing. */
function placeLines(
  { project, region, status, observedAt, stacks, problems, error }: Place,
  now: string,
  paint: Paint,
): string[] {
  const seen = observedAt === null ? 'never listed' : `listed ${age(observedAt, now)}`
  return [
    `${paintStatus(status, paint)}  discovery in ${printable(project)}, ${printable(region)}  ${paint('dim', seen)}`,
    `  ${stacks} stacks found`,
    ...problems.flatMap(({ message }) => proseLines('problem', message, paint)),
    ...(error ? proseLines('error', `${error.code} ${age(error.at, now)}: ${error.message}`, paint) : []),
  ]
}

function paintStatus(status: Status, paint: Paint): string {
  return paint(styles[status], inWords(status).toUpperCase().padEnd('DRIFTED'.length))
}

function bodyLines(check: ReportedCheck, now: string, paint: Paint): string[] {
  return [
    ...wrap(prose(check.summary), width - 2).map(text => `  ${text}`),
    ...check.differences.flatMap(difference => differenceLines(difference, paint)),
    ...check.notes.flatMap(note => proseLines('note', note, paint)),
    ...(check.error ? errorLines(check, check.error, now, paint) : []),
    ...(check.fix === null ? [] : fixLines(check.fix, paint)),
  ]
}

function differenceLines({ path, kind, expected, actual, via }: Difference, paint: Paint): string[] {
  const value = (label: string, text: string | null) =>
    `  ${paintLabel(`  ${label}`, paint)} ${text === null ? paint('dim', 'nothing') : printable(text)}`
  return [
    `  ${paint('bold', printable(path))} ${paint('dim', kind)}`,
    value('expected', expected),
    value('actual', actual),
    ...(via === null ? [] : [value('via', via)]),
  ]
}

function errorLines(
  { observedAt, summary }: ReportedCheck,
  { code, message, at }: NonNullable<ReportedCheck['error']>,
  now: string,
  paint: Paint,
): string[] {
  const seen = observedAt === null ? 'never' : age(observedAt, now)
  return [
    ...proseLines(
      'error',
      `${code} ${age(at, now)}${summary.includes(toSentence(message)) ? '' : `: ${message}`}`,
      paint,
    ),
    ...proseLines('last seen', seen, paint),
  ]
}

/** On lines of its own and unbroken, to be copied and pasted. */
function fixLines(fix: string, paint: Paint): string[] {
  const lines = fix.split('\n').map(printable)
  return [`  ${paint('dim', 'fix')}`, ...lines.map(text => `    ${paint('cyan', text)}`)]
}

function proseLines(label: string, text: string, paint: Paint): string[] {
  const indent = ' '.repeat(2 + labelWidth + 1)
  const lines = wrap(prose(text), width - indent.length)
  return lines.map((part, at) => (at === 0 ? `  ${paintLabel(label, paint)} ${part}` : indent + part))
}

function paintLabel(label: string, paint: Paint): string {
  return paint('dim', label.padEnd(labelWidth))
}

/** Breaks at spaces only. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}
