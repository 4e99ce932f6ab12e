import { runAtOnce, type SlicedWork } from '../concurrency/time-slices.ts'
import type { DatabaseConfig, Stack } from '../config/config.ts'
import { compareGrantsInSteps, type GrantsComparison } from '../grants/judge/compare.ts'
import { describeDiscrepancy, describeInLine, showObject, showRole } from '../grants/judge/describe.ts'
import { showIdentifier } from '../grants/model/identifiers.ts'
import { objectsInOrder } from '../grants/model/in-order.ts'
import type { Check, CheckInput } from './check.ts'
import { type Difference, type Finding, mostDifferences } from './finding.ts'
import { commandLine } from './fix.ts'
import { conclude as concludeParts, unproven } from './parts/part.ts'

/** How many objects a difference that stands for many names, and all of a finding together. */
export const mostObjects = { aDifference: 1000, aFinding: 5000 } as const

/** The privileges are exactly those of the policy. */
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
  if (!seen) throw new Error('a stack with a database was looked at as if it had none')
  if (seen.rightsUnknown) return concludeParts([unproven(seen.rightsUnknown)], { inSync: '', fix: () => null })
  const comparison = yield* compareGrantsInSteps(database, seen.catalog)
  return yield* conclude(stack, comparison)
}

function* conclude(stack: Stack, comparison: GrantsComparison): SlicedWork<Finding> {
  const { discrepancies, context } = comparison
  const told = discrepancies.slice(0, mostDifferences)
  const differences = yield* describeAll(told, comparison)
  const first = told[0]
  const inSync = `the privileges in database ${showIdentifier(context.catalog.database.name)} are those of the policy`
  return {
    status: first ? 'drifted' : 'in_sync',
    summary: first ? summarise(describeInLine(describeDiscrepancy(first, context)), discrepancies.length) : inSync,
    differences,
    notes: [...notesOn(comparison), ...boundsOf(discrepancies.length, differences)],
    fix: first ? commandLine('driftwatch', 'grants', 'apply', '--stack', stack.name) : null,
    doubt: null,
    proven: differences.map(({ path }) => path),
  }
}

function summarise(first: string, count: number): string {
  return count === 1 ? first : `${first}; and ${count - 1} more`
}

/** After so many differences others may go first. */
const aStep = 50

function* describeAll(
  told: GrantsComparison['discrepancies'],
  { context }: GrantsComparison,
): SlicedWork<Difference[]> {
  let left: number = mostObjects.aFinding
  const differences: Difference[] = []
  for (const found of told) {
    const { path, kind, expected, actual, via, objects } = describeDiscrepancy(found, context)
    const names: string[] = []
    for (const object of objectsInOrder(objects)) {
      if (left === 0 || names.length === mostObjects.aDifference) break
      names.push(showObject(object))
      left -= 1
    }
    differences.push({ path, kind, expected, actual, via, ...(names.length > 0 && { objects: names }) })
    if (differences.length % aStep === 0) yield
  }
  return differences
}

function notesOn({ context, unmatched }: GrantsComparison): string[] {
  const { policy, catalog } = context
  const makers = [...policy.listedByOid].filter(
    ([oid, { role }]) => catalog.serverVersion < 160000 && role?.createRole && policy.mayActAs(oid, 'createRole'),
  )
  return [
    ...unmatched.map(
      ({ schema, pattern }) => `nothing in schema ${showIdentifier(schema)} is called ${showIdentifier(pattern)}`,
    ),
    ...makers.map(
      ([oid]) => `${showRole(oid, context)} has CREATEROLE by the policy, which can join any role before PostgreSQL 16`,
    ),
  ]
}

function boundsOf(count: number, differences: readonly Difference[]): string[] {
  const objects = differences.reduce((sum, difference) => sum + (difference.objects?.length ?? 0), 0)
  const isCut =
    objects === mostObjects.aFinding || differences.some(one => one.objects?.length === mostObjects.aDifference)
  return [
    ...(count > mostDifferences ? [`only the first ${mostDifferences} of ${count} differences are told`] : []),
    ...(isCut
      ? [`at most ${mostObjects.aDifference} objects of a difference are named, and ${mostObjects.aFinding} in all`]
      : []),
  ]
}
