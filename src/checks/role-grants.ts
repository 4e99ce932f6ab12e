import type { DatabaseConfig, Stack } from '../config/schema.ts'
import { type Comparison, compareGrants } from '../grants/compare.ts'
import { describeDiscrepancy, describeInLine, showObject, showRole } from '../grants/describe.ts'
import { showIdentifier } from '../grants/identifiers.ts'
import type { Check } from './check.ts'
import type { Difference, Finding } from './finding.ts'
import { commandLine } from './fix.ts'

/** How many differences a finding tells one by one. */
export const mostDifferences = 1000
/** How many objects a difference that stands for many names, and all of a finding together. */
export const mostObjects = { aDifference: 1000, aFinding: 5000 } as const

/** The privileges are exactly those of the policy. */
export const roleGrants: Check<'postgres-catalog'> = {
  kind: 'role-grants',
  needs: ['postgres-catalog'],
  appliesTo: ({ database }) =>
    database !== null && (Object.keys(database.roles).length > 0 || Object.keys(database.schemas).length > 0),
  judge({ stack, observed }) {
    const database = stack.database as DatabaseConfig
    const seen = observed['postgres-catalog']
    if (!seen) throw new Error('a stack with a database was looked at as if it had none')
    return conclude(stack, compareGrants(database, seen.catalog))
  },
}

function conclude(stack: Stack, comparison: Comparison): Finding {
  const { discrepancies, bench } = comparison
  const told = discrepancies.slice(0, mostDifferences)
  const differences = describeAll(told, comparison)
  const first = told[0]
  const inSync = `the privileges in database ${showIdentifier(bench.catalog.database.name)} are those of the policy`
  return {
    status: first ? 'drifted' : 'in_sync',
    summary: first ? summarise(describeInLine(describeDiscrepancy(first, bench)), discrepancies.length) : inSync,
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

function describeAll(told: Comparison['discrepancies'], { bench }: Comparison): Difference[] {
  let left: number = mostObjects.aFinding
  return told.map(found => {
    const { path, kind, expected, actual, via, objects } = describeDiscrepancy(found, bench)
    const names: string[] = []
    for (const object of objects) {
      if (left === 0 || names.length === mostObjects.aDifference) break
      names.push(showObject(object))
      left -= 1
    }
    return { path, kind, expected, actual, via, ...(names.length > 0 && { objects: names }) }
  })
}

function notesOn({ bench, unmatched }: Comparison): string[] {
  const makers = bench.reach.creators.filter(
    ({ role, member }) => bench.policy.listedByOid.has(role) && bench.policy.isJudged(member),
  )
  return [
    ...unmatched.map(
      ({ schema, pattern }) => `nothing in schema ${showIdentifier(schema)} is called ${showIdentifier(pattern)}`,
    ),
    ...makers.map(
      ({ role, member }) =>
        `${showRole(member, bench)} made ${showRole(role, bench)} and can make itself a member of it`,
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
