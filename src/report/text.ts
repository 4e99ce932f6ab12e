import { styleText } from 'node:util'
import type { Status } from '../checks/status.ts'
import { printable, prose } from '../printable.ts'
import type { AnyReport, ReportedCheck, ReportedConfig, ReportedDifference, ReportedPlace } from './report.ts'
import { age, countRows, includesMessage, inWords, lasting, rowsOf, whenObserved, whereDriftwatchIs } from './rows.ts'
import { shortenImages } from './short-images.ts'

/** Prose wraps at this column. Values and commands never wrap, so that they can be copied. */
const width = 96

type Style = Parameters<typeof styleText>[0]

type Paint = (style: Style, text: string) => string

const styles = {
  drifted: ['bold', 'red'],
  unknown: ['bold', 'magenta'],
  pending: ['bold', 'yellow'],
  in_sync: ['bold', 'green'],
} as const satisfies Record<Status, Style>

const signs = { drifted: '!', unknown: '?', pending: '~', in_sync: '✓' } as const satisfies Record<Status, string>

/** A report, or a part of one, for a person: a headline, then a block for each check, worst first. */
export function renderText(report: AnyReport, { color }: { readonly color: boolean }): string {
  const paint: Paint = color ? (style, text) => styleText(style, text, { validateStream: false }) : (_, text) => text
  const now = report.generatedAt
  const rows = rowsOf(report)
  const titles = rows.map(({ stack, check }) => `${printable(stack)} / ${check.check}`)
  const titleWidth = Math.max(0, ...titles.map(title => title.length))
  const blocks = rows.map(({ check }, at) => {
    const detail = `${inWords(check.status)} ${lasting(check, now)}`
    const title = titleLine(titles[at]?.padEnd(titleWidth) ?? '', check.status, detail, paint)
    return [title, ...bodyLines(check, now, paint)]
  })
  const problems = 'problems' in report ? (report.problems ?? []) : []
  const head = [
    `${paint(styles[report.status], inWords(report.status).toUpperCase())}  ${countRows(rows, now)} ${paint('dim', `· ${whenObserved(report)}`)}`,
    ...('config' in report && report.config ? configLines(report.config, now) : []),
    ...problems.flatMap(message => proseLines('Problem: ', message)),
    ...('stacks' in report && report.error
      ? proseLines('Error: ', `${report.error.code}: ${report.error.message}`)
      : []),
    ...('stacks' in report ? report.notes.flatMap(note => proseLines('Note: ', note)) : []),
  ]
  const places = 'discovery' in report ? (report.discovery ?? []) : []
  const incomplete = places.filter(({ status, error }) => status !== 'in_sync' || error !== null)
  const usesDriftwatch = rows.some(({ check }) => /^driftwatch |&& driftwatch /m.test(check.fix ?? ''))
  const foot = usesDriftwatch ? [proseLines('', whereDriftwatchIs)] : []
  const sections = [head, ...incomplete.map(place => placeLines(place, now, paint)), ...blocks, ...foot]
  return `${sections.map(lines => lines.join('\n')).join('\n\n')}\n`
}

function titleLine(title: string, status: Status, detail: string, paint: Paint): string {
  return `${paint(styles[status], signs[status])} ${paint('bold', title)}  ${paint('dim', detail)}`
}

function configLines({ error, needRestart }: ReportedConfig, now: string): string[] {
  return [
    ...(error ? proseLines(`Configuration rejected ${age(error.at, now)}: `, error.message) : []),
    ...(needRestart.length > 0 ? proseLines('Changed, restart needed: ', needRestart.join(', ')) : []),
  ]
}

/** A place whose stacks are not all known. It comes before the checks, since some may be missing among them. */
function placeLines(place: ReportedPlace, now: string, paint: Paint): string[] {
  const { project, region, status, observedAt, stacks, problems, error } = place
  const listed = observedAt === null ? 'never listed' : `listed ${age(observedAt, now)}`
  const title = `discovery in ${printable(project)}, ${printable(region)}`
  return [
    titleLine(title, status, `${listed}, ${stacks} ${stacks === 1 ? 'stack' : 'stacks'} found`, paint),
    ...problems.flatMap(({ message }) => proseLines('Problem: ', message)),
    ...(error ? proseLines('Error: ', `${error.code} ${age(error.at, now)}: ${error.message}`) : []),
  ]
}

function bodyLines(check: ReportedCheck, now: string, paint: Paint): string[] {
  return [
    ...proseLines('', check.summary),
    ...check.differences.flatMap(difference => differenceLines(difference, paint)),
    ...check.notes.flatMap(note => proseLines('Note: ', note)),
    ...errorLines(check, now),
    ...remedyLines(check, paint),
  ]
}

function differenceLines({ path, kind, expected, actual, via }: ReportedDifference, paint: Paint): string[] {
  const value = (label: string, text: string | null) =>
    `    ${paint('dim', label)}  ${text === null ? paint('dim', '(none)') : printable(text)}`
  const [shortExpected, shortActual] = shortenImages(expected, actual)
  const author = via === null ? '' : `  ${paint('dim', `(${printable(via)})`)}`
  return [
    `  ${paint('bold', printable(path))} ${paint('dim', kind)}`,
    value('expected', shortExpected),
    `${value('actual  ', shortActual)}${author}`,
  ]
}

function errorLines(check: ReportedCheck, now: string): string[] {
  const { observedAt, error } = check
  if (error === null) return []
  const detail = includesMessage(check) ? '' : `: ${error.message}`
  const observed = observedAt === null ? 'never' : age(observedAt, now)
  return [...proseLines('Error: ', `${error.code} ${age(error.at, now)}${detail}`), `  Last observed: ${observed}`]
}

/** The lines of a command stay whole, to be copied. */
function remedyLines({ fix, advice }: ReportedCheck, paint: Paint): string[] {
  const lines = fix?.split('\n') ?? []
  return [
    ...lines.map((line, at) => `  ${at === 0 ? 'Fix: ' : '     '}${paint('cyan', printable(line))}`),
    ...(advice === null ? [] : proseLines(fix === null ? 'To do: ' : 'Why: ', advice)),
  ]
}

/** Prose, after a label where there is one: then further lines are indented. */
function proseLines(label: string, text: string): string[] {
  const indent = label === '' ? '  ' : '    '
  const [first, ...others] = wrap(`${label}${prose(text)}`, width - indent.length)
  return [`  ${first}`, ...others.map(line => indent + line)]
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
