import { formatDuration } from '../duration.ts'
import { type ErrorCode, errorTable } from '../errors.ts'
import type { Report } from '../report/report.ts'

/** What keeps a report from being in sync. */
interface OpenResult {
  /** `runtime / job-image (pending)` */
  readonly text: string
  /** Whether a later cycle may have another result without any action. */
  readonly mayChange: boolean
}

/** Not retryable within a cycle, but a later cycle succeeds without any action. */
const passingCodes: readonly ErrorCode[] = ['QUOTA_SPENT', 'NOT_OBSERVED', 'STALE']

/** The number of results that a line names. */
const maxNamed = 5

/**
 * Returns a function that decides whether a report is final: it is in sync or drifted, or waiting cannot make it so.
 * Prints what the wait is for when that changes, and why it ends early.
 */
export function createResultWait(print: (line: string) => void) {
  let printed = ''
  return (report: Report, remainingMs: number): boolean => {
    if (report.status === 'in_sync' || report.status === 'drifted') return true
    const open = openResults(report)
    const lasting = open.filter(({ mayChange }) => !mayChange)
    const isFinal = open.length === 0 || lasting.length > 0
    const unchanged = lasting.length > 0 ? listed(lasting) : (report.error?.code ?? 'the result')
    if (isFinal) print(`wait ended: waiting does not change ${unchanged}`)
    if (isFinal || remainingMs <= 0) return isFinal
    const names = listed(open)
    if (names !== printed) print(`waiting at most ${formatDuration(remainingMs)} for ${names}`)
    printed = names
    return false
  }
}

function listed(results: readonly OpenResult[]): string {
  const named = results.slice(0, maxNamed).map(({ text }) => text)
  const rest = results.length - named.length
  return [...named, ...(rest > 0 ? [`${rest} more`] : [])].join(', ') || 'the result'
}

function openResults({ stacks, discovery = [] }: Report): OpenResult[] {
  const places = discovery.flatMap(({ project, region, status, problems, error }) =>
    status === 'unknown'
      ? openResult(`discovery in ${project}, ${region}`, status, error, problems.length === 0 && mayPass(error?.code))
      : [],
  )
  return [...stacks.flatMap(openResultsOfStack), ...places]
}

function openResultsOfStack({ name, problems = [], checks }: Report['stacks'][number]): OpenResult[] {
  const invalid = problems.length > 0 ? [{ text: `${name} (problems with its labels)`, mayChange: false }] : []
  const wrong = checks.filter(({ status }) => status !== 'in_sync')
  const causes = wrong.filter(({ error }) => error?.code !== 'DEPENDS_ON')
  const open = wrong.flatMap(({ check, status, error }) => {
    // The check that it depends on decides, if it is one of these.
    if (status === 'in_sync' || status === 'drifted' || (error?.code === 'DEPENDS_ON' && causes.length > 0)) return []
    // A pending finding may carry a code that only explains it.
    const explained = status === 'pending' && error !== null && errorTable[error.code].logLevel !== 'warn'
    return openResult(`${name} / ${check}`, status, error, explained || mayPass(error?.code))
  })
  return [...invalid, ...open]
}

function openResult(
  subject: string,
  status: 'unknown' | 'pending',
  error: { readonly code: ErrorCode } | null,
  mayChange: boolean,
): OpenResult[] {
  return [{ text: `${subject} (${error === null ? status : `${status}, ${error.code}`})`, mayChange }]
}

/** Whether a later cycle may succeed; also without an error. */
function mayPass(code: ErrorCode | undefined): boolean {
  return code === undefined || errorTable[code].retryable || passingCodes.includes(code)
}
