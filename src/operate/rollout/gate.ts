import type { ReportedCheck } from '../../report/report.ts'

/** The worst status of the checks at the end of a deploy, and a line for each check that is not in sync. */
export interface Verdict {
  readonly kind: 'open' | 'pending' | 'drifted' | 'unknown'
  readonly lines: readonly string[]
}

/** The verdict of the gate, and a line for each check that cannot be judged so soon after the rollout. */
export interface GateVerdict extends Verdict {
  readonly tooSoon: readonly string[]
}

/** Checks of the database, which are judged in a step before the gate. */
const databaseChecks: readonly string[] = ['role-grants', 'schema']

/** The differences that a deploy without traffic causes until traffic is moved. */
const expectedWithoutTraffic: readonly string[] = [
  'service.image',
  'service.expectedImage',
  'job.image',
  'execution.image',
]

/**
 * The gate is open if every check is in sync, except for the differences that a deploy without traffic causes. Checks
 * that need more time after the rollout do not count, and are listed in `tooSoon`.
 */
export function judgeGate(
  checks: readonly ReportedCheck[],
  { noTraffic }: { readonly noTraffic: boolean },
): GateVerdict {
  const lineOf = ({ check, status, summary }: ReportedCheck) => [`${check} is ${status}: ${summary}`]
  const early = checks.filter(isTooSoon)
  const rest = checks.filter(check => !isTooSoon(check))
  const wrong = rest.filter(check => check.status !== 'in_sync' && !(noTraffic && isExpectedWithoutTraffic(check)))
  return { ...verdict(wrong, lineOf), tooSoon: early.flatMap(lineOf) }
}

function isTooSoon({ status, error, differences }: ReportedCheck): boolean {
  return status === 'pending' && error?.code === 'TOO_SOON' && differences.length === 0
}

/** The verdict on the database, with the fix of each difference; null if no check of the database ran. */
export function judgeDatabase(checks: readonly ReportedCheck[]): Verdict | null {
  const ofDatabase = checks.filter(({ check }) => databaseChecks.includes(check))
  if (ofDatabase.length === 0) return null
  const wrong = ofDatabase.filter(({ status }) => status !== 'in_sync')
  return verdict(wrong, ({ summary, fix }) => [summary, ...(fix === null ? [] : [`fix: ${fix}`])])
}

function verdict(wrong: readonly ReportedCheck[], lineOf: (check: ReportedCheck) => string[]): Verdict {
  const worst = (['drifted', 'unknown', 'pending'] as const).find(each => wrong.some(({ status }) => status === each))
  return { kind: worst ?? 'open', lines: wrong.flatMap(lineOf) }
}

function isExpectedWithoutTraffic({ differences, error }: ReportedCheck): boolean {
  return (
    error === null && differences.length > 0 && differences.every(({ path }) => expectedWithoutTraffic.includes(path))
  )
}
