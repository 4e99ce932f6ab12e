import { type Status, statuses } from '../checks/status.ts'
import { parseTime } from '../clock.ts'
import { formatDuration } from '../duration.ts'
import type { CheckReport, Report, ReportedCheck, StackReport } from './report.ts'

/** A check of a stack, as a person reads it in a table. */
export interface Row {
  readonly stack: string
  readonly check: ReportedCheck
}

/** Every check of a report, or of a part of one: the worst on top. */
export function rowsOf(report: Report | StackReport | CheckReport): Row[] {
  return listRows(report).toSorted(
    (one, other) => statuses.indexOf(one.check.status) - statuses.indexOf(other.check.status),
  )
}

function listRows(report: Report | StackReport | CheckReport): Row[] {
  if ('stacks' in report)
    return report.stacks.flatMap(({ name, checks }) => checks.map(check => ({ stack: name, check })))
  if ('checks' in report) return report.checks.map(check => ({ stack: report.name, check }))
  return [{ stack: report.stack, check: report }]
}

/** `1 drifted, 7 in sync`: how many checks have which status. */
export function countRows(rows: readonly Row[]): string {
  const counts = statuses
    .map(counted => ({ counted, count: rows.filter(({ check }) => check.status === counted).length }))
    .filter(({ count }) => count > 0)
    .map(({ counted, count }) => `${count} ${inWords(counted)}`)
  return counts.length > 0 ? counts.join(', ') : 'no checks to show'
}

/** `in sync`. */
export function inWords(status: Status): string {
  return status.replace('_', ' ')
}

/** How long before the report, `2h10m ago`. Both are times as the report writes them. */
export function age(moment: string, now: string): string {
  const ms = Math.max(0, (parseTime(now) ?? 0) - (parseTime(moment) ?? 0))
  return ms < 1000 ? 'just now' : `${formatDuration(ms)} ago`
}
