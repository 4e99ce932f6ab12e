import { runAtOnce, type SlicedWork } from '../concurrency/time-slices.ts'
import type { DatabaseConfig } from '../config/config.ts'
import { compareGrantsInSteps, type GrantsComparison } from '../grants/judge/compare.ts'
import { describeDiscrepancy, describeInLine, showObject, showRole } from '../grants/judge/describe.ts'
import { showIdentifier } from '../grants/model/identifiers.ts'
import { sortObjects } from '../grants/model/sort-catalog.ts'
import type { Check, CheckInput } from './check.ts'
import { cannotJudge, concludePart, type Difference, type Finding, maxDifferences } from './finding.ts'
import { serverNotes } from './parts/server-notes.ts'

/** At most this many objects are listed. */
export const maxObjects = { perDifference: 1000, perFinding: 5000 } as const

/** The privileges match the policy exactly. */
export const roleGrants: Check<'postgres-catalog'> = {
  kind: 'role-grants',
  needs: ['postgres-catalog'],
  appliesTo: ({ database }) =>
    database !== null && (Object.keys(database.roles).length > 0 || Object.keys(database.schemas).length > 0),
  judge: input => runAtOnce(judgeInSteps(input)),
  judgeInSteps,
}

function* judgeInSteps({ stack, observed }: CheckInput<'postgres-catalog'>): SlicedWork<Finding> {
  const database = stack.database as DatabaseConfig
  const seen = observed['postgres-catalog']
  if (!seen) throw new Error('no catalog was observed for a stack with a database')
  const notes = serverNotes(seen.server)
  if (seen.rightsUnknown) return { ...concludePart(cannotJudge(seen.rightsUnknown)), notes }
  const comparison = yield* compareGrantsInSteps(database, seen.catalog)
  const finding = yield* conclude(comparison)
  return { ...finding, notes: [...notes, ...finding.notes] }
}

function* conclude(comparison: GrantsComparison): SlicedWork<Finding> {
  const { discrepancies, context } = comparison
  const [first] = discrepancies
  const differences = yield* describeAll(discrepancies.slice(0, maxDifferences), comparison)
  const inSync = `The privileges in database ${showIdentifier(context.catalog.database.name)} match the policy.`
  return {
    status: first ? 'drifted' : 'in_sync',
    summary: first ? summarise(describeInLine(describeDiscrepancy(first, context)), discrepancies.length) : inSync,
    differences,
    notes: [...notesOn(comparison), ...describeLimits(discrepancies.length, differences)],
    unknownReason: null,
    proven: differences.map(({ path }) => path),
  }
}

function summarise(first: string, count: number): string {
  const sentence = `${first.charAt(0).toUpperCase()}${first.slice(1)}.`
  return count === 1 ? sentence : `${sentence} ${count - 1} more ${count === 2 ? 'difference' : 'differences'}.`
}

/** The differences per time slice. */
const sliceSize = 50

function* describeAll(
  discrepancies: GrantsComparison['discrepancies'],
  { context }: GrantsComparison,
): SlicedWork<Difference[]> {
  let left: number = maxObjects.perFinding
  const differences: Difference[] = []
  for (const found of discrepancies) {
    const { path, kind, expected, actual, via, objects } = describeDiscrepancy(found, context)
    const names: string[] = []
    for (const object of sortObjects(objects)) {
      if (left === 0 || names.length === maxObjects.perDifference) break
      names.push(showObject(object))
      left -= 1
    }
    differences.push({ path, kind, expected, actual, via, ...(names.length > 0 && { objects: names }) })
    if (differences.length % sliceSize === 0) yield
  }
  return differences
}

function notesOn({ context, unmatched }: GrantsComparison): string[] {
  const { policy, catalog } = context
  const creators = [...policy.listedByOid].filter(
    ([oid, { role }]) => catalog.serverVersion < 160000 && role?.createRole && policy.mayActAs(oid, 'createRole'),
  )
  return [
    ...unmatched.map(
      ({ schema, pattern }) => `No object in schema ${showIdentifier(schema)} matches ${showIdentifier(pattern)}.`,
    ),
    ...creators.map(
      ([oid]) =>
        `The policy gives ${showRole(oid, context)} CREATEROLE, which lets it join any role before PostgreSQL 16.`,
    ),
  ]
}

function describeLimits(count: number, differences: readonly Difference[]): string[] {
  const objects = differences.reduce((sum, difference) => sum + (difference.objects?.length ?? 0), 0)
  const isLimited =
    objects === maxObjects.perFinding || differences.some(one => one.objects?.length === maxObjects.perDifference)
  const first = `Only the first ${maxDifferences} of ${count} differences are listed.`
  const limits = `At most ${maxObjects.perDifference} objects are listed per difference, and ${maxObjects.perFinding} in total.`
  return [...(count > maxDifferences ? [first] : []), ...(isLimited ? [limits] : [])]
}
