import { type Status, statuses } from '../checks/status.ts'
import { parseTime } from '../clock.ts'
import { formatDuration } from '../duration.ts'
import type { AnyReport, Report, ReportedCheck } from './report.ts'

/** A check of a stack, for a person. */
export interface Row {
  readonly stack: string
  readonly check: ReportedCheck
}

/** Every check of a report, or of a part of one, worst first. Among equal ones, those with an error come first. */
export function rowsOf(report: AnyReport): Row[] {
  const rank = ({ check }: Row) => statuses.indexOf(check.status) * 2 + (check.error === null ? 1 : 0)
  return listRows(report).toSorted((one, other) => rank(one) - rank(other))
}

function listRows(report: AnyReport): Row[] {
  if ('stacks' in report)
    return report.stacks.flatMap(({ name, checks }) => checks.map(check => ({ stack: name, check })))
  if ('checks' in report) return report.checks.map(check => ({ stack: report.name, check }))
  return [{ stack: report.stack, check: report }]
}

/** `2 of 6 checks drifted, 4 in sync`; `6 checks in sync, 5 not observed for 40 s`; `no checks`. */
export function countRows(rows: readonly Row[], now: string): string {
  const counts = statuses
    .map(status => ({ status, count: rows.filter(({ check }) => check.status === status).length }))
    .filter(({ count }) => count > 0)
  const [worst, ...others] = counts
  if (!worst) return 'no checks'
  const checks = rows.length === 1 ? 'check' : 'checks'
  const share = others.length > 0 ? `${worst.count} of ${rows.length}` : rows.length
  return [
    `${share} ${checks} ${inWords(worst.status)}`,
    ...others.map(({ status, count }) => `${count} ${inWords(status)}`),
    ...countUnobserved(rows, now),
  ].join(', ')
}

/** How many checks keep an earlier finding because their probe failed, with the age of the oldest. */
function countUnobserved(rows: readonly Row[], now: string): string[] {
  const times = rows.flatMap(({ check }) => keptSince(check) ?? [])
  const [oldest] = times.toSorted()
  return oldest === undefined ? [] : [`${times.length} not observed for ${elapsed(oldest, now)}`]
}

/**
 * When the finding of a check was observed, if a later probe failed; else null. An unknown check keeps none. Times of a
 * report sort as texts.
 */
function keptSince({ status, observedAt, error }: ReportedCheck): string | null {
  const isKept = status !== 'unknown' && observedAt !== null && error !== null && error.at > observedAt
  return isKept ? observedAt : null
}

/** `in sync`. */
export function inWords(status: Status): string {
  return status.replace('_', ' ')
}

/** `for 12 min`, or `for 12 min, not observed for 40 s` if the last probe failed: how long a status has lasted. */
export function lasting(check: ReportedCheck, now: string): string {
  const kept = keptSince(check)
  return `for ${elapsed(check.since, now)}${kept === null ? '' : `, not observed for ${elapsed(kept, now)}`}`
}

function elapsed(from: string, to: string): string {
  const ms = elapsedMs(from, to)
  return ms < 1000 ? 'less than 1 s' : formatDuration(ms)
}

/** `observed 2 s ago (cycle 311) · 2026-11-03T12:00:00Z`. The last part is the time that all durations refer to. */
export function whenObserved({ cycle, generatedAt }: Pick<Report, 'cycle' | 'generatedAt'>): string {
  const when = cycle ? `observed ${age(cycle.startedAt, generatedAt)} (cycle ${cycle.id})` : 'no completed cycle'
  return `${when} · ${generatedAt.replace(/\.\d+Z$/, 'Z')}`
}

/** `2 h 10 min ago`: how long before the report. Both times are as the report writes them. */
export function age(moment: string, now: string): string {
  const ms = elapsedMs(moment, now)
  return ms < 1000 ? 'just now' : `${formatDuration(ms)} ago`
}

/** Whether the summary of a check contains the message of its error. */
export function includesMessage({ summary, error }: ReportedCheck): boolean {
  return error !== null && summary.toLowerCase().includes(error.message.toLowerCase())
}

function elapsedMs(from: string, to: string): number {
  return Math.max(0, (parseTime(to) ?? 0) - (parseTime(from) ?? 0))
}

/** For commands that begin with `driftwatch`. */
export const whereDriftwatchIs =
  'Run driftwatch commands in a checkout of Driftwatch (node src/main.ts), or with its container image, where its configuration is.'
