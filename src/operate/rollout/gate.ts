import type { ReportedCheck } from '../../report/report.ts'

/** What the checks at the end of a deploy come to: the worst of them, and a line for each that is not in sync. */
export interface Verdict {
  readonly kind: 'open' | 'pending' | 'drifted' | 'unknown'
  readonly lines: readonly string[]
}

/** The verdict of the gate, and a line for each check that nobody can judge yet, since the rollout is so young. */
export interface GateVerdict extends Verdict {
  readonly tooSoon: readonly string[]
}

/** Checks of what stands behind a stack, and not of Cloud Run: they are a step of their own before the gate. */
const databaseChecks: readonly string[] = ['role-grants', 'schema']

/** Until traffic is moved these are what a deploy without traffic is meant to leave. */
const leftByNoTraffic: readonly string[] = ['service.image', 'service.expectedImage', 'job.image', 'execution.image']

/**
 * Whether a deploy is done: every check is in sync, but for what one without traffic is meant to leave. What comes of a
 * rollout in minutes to come is no part of it, and said.
 */
export function judgeGate(
  checks: readonly ReportedCheck[],
  { noTraffic }: { readonly noTraffic: boolean },
): GateVerdict {
  const lineOf = ({ check, status, summary }: ReportedCheck) => [`${check} is ${status}: ${summary}`]
  const early = checks.filter(isTooSoon)
  const rest = checks.filter(check => !isTooSoon(check))
  const wrong = rest.filter(check => check.status !== 'in_sync' && !(noTraffic && isLeftByNoTraffic(check)))
  return { ...verdict(wrong, lineOf), tooSoon: early.flatMap(lineOf) }
}

function isTooSoon({ status, error, differences }: ReportedCheck): boolean {
  return status === 'pending' && error?.code === 'TOO_SOON' && differences.length === 0
}

/** The same of the database alone, with what mends it. Null: the config asks for no check of it. */
export function judgeDatabase(checks: readonly ReportedCheck[]): Verdict | null {
  const ofDatabase = checks.filter(({ check }) => databaseChecks.includes(check))
  if (ofDatabase.length === 0) return null
  const wrong = ofDatabase.filter(({ status }) => status !== 'in_sync')
  return verdict(wrong, ({ summary, fix }) => [summary, ...(fix === null ? [] : [`to mend it: ${fix}`])])
}

function verdict(wrong: readonly ReportedCheck[], lineOf: (check: ReportedCheck) => string[]): Verdict {
  const worst = (['drifted', 'unknown', 'pending'] as const).find(each => wrong.some(({ status }) => status === each))
  return { kind: worst ?? 'open', lines: wrong.flatMap(lineOf) }
}

function isLeftByNoTraffic({ differences, error }: ReportedCheck): boolean {
  return error === null && differences.length > 0 && differences.every(({ path }) => leftByNoTraffic.includes(path))
}
