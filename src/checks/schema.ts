import type { DatabaseConfig, Stack } from '../config/config.ts'
import type { LedgerFile } from '../config/sections/database.ts'
import type { Catalog } from '../grants/model/catalog.ts'
import { showIdentifier } from '../grants/model/identifiers.ts'
import { printable } from '../printable.ts'
import type { LedgerAnswer } from '../probes/probe.ts'
import type { Check, CheckInput, Observations } from './check.ts'
import { migrateStack } from './fix.ts'
import { migrationExecution } from './migration-execution.ts'
import { conclude, differs, inSync, type Part, unproven } from './parts/part.ts'

/** What tells whether a migration is under way. */
const migrationProbes = ['service', 'job', 'execution', 'registry'] as const
type MigrationProbe = (typeof migrationProbes)[number]
type Input = CheckInput<'postgres-catalog', MigrationProbe>

/** The relations that the release needs exist, and the ledger holds the migrations that it should. */
export const schema: Check<'postgres-catalog', MigrationProbe> = {
  kind: 'schema',
  needs: ['postgres-catalog'],
  uses: migrationProbes,
  appliesTo: ({ database }) => database !== null && (database.ledger !== undefined || needsRelations(database)),
  judge(input) {
    const { stack, observed } = input
    const database = stack.database as DatabaseConfig
    const seen = observed['postgres-catalog']
    if (!seen) throw new Error('a stack with a database was looked at as if it had none')
    const status = migrates(input) ? 'pending' : 'drifted'
    const parts = [
      ...Object.entries(database.schemas).flatMap(([name, { relations }]) =>
        judgeRelations(name, relations, seen.catalog, status),
      ),
      ...(database.ledger ? judgeLedger(database.ledger, seen.ledger, status) : []),
    ]
    return conclude(parts, { inSync: 'the relations that the release needs exist', fix: () => fixFor(stack) })
  },
}

function needsRelations({ schemas }: DatabaseConfig): boolean {
  return Object.values(schemas).some(({ relations }) => relations.length > 0)
}

/** A migration that is still explained explains what it has not made yet; one that cannot be looked at explains nothing. */
function migrates({ observed, ...input }: Input): boolean {
  if (!migrationExecution.appliesTo(input.stack) || !sawMigration(observed)) return false
  return migrationExecution.judge({ ...input, observed }).status === 'pending'
}

function sawMigration(observed: Input['observed']): observed is Observations<'postgres-catalog' | MigrationProbe> {
  return migrationProbes.every(kind => observed[kind] !== undefined)
}

function judgeRelations(
  name: string,
  relations: readonly string[],
  catalog: Catalog,
  status: 'pending' | 'drifted',
): Part[] {
  const actual = catalog.schemas.get(name)
  const path = `schemas.${showIdentifier(name)}`
  if (relations.length === 0) return []
  if (!actual) {
    const expected = `schema ${showIdentifier(name)} with ${relations.length} relations`
    return [
      differs(status, `schema ${showIdentifier(name)} is missing`, { path, kind: 'missing', expected, actual: null }),
    ]
  }
  const known = new Set(actual.objects.filter(({ args }) => args === null).map(object => object.name))
  return relations.map(relation => {
    const shown = `${showIdentifier(name)}.${showIdentifier(relation)}`
    const difference = {
      path: `${path}.relations.${showIdentifier(relation)}`,
      kind: 'missing',
      expected: shown,
      actual: null,
    } as const
    return known.has(relation) ? inSync : differs(status, `relation ${shown} is missing`, difference)
  })
}

function judgeLedger(
  { table, expected }: LedgerFile,
  answer: LedgerAnswer | null,
  status: 'pending' | 'drifted',
): Part[] {
  if (!answer) return [unproven({ code: 'BUG', message: `ledger ${table} was not looked at` })]
  if (answer.outcome === 'failed') return [unproven(answer.reason)]
  if (answer.outcome === 'missing')
    return [
      differs(status, `ledger ${table} is missing`, { path: 'ledger', kind: 'missing', expected: table, actual: null }),
    ]
  const recorded = new Set(answer.versions)
  const wanted = new Set(expected)
  return [
    ...expected
      .filter(version => !recorded.has(version))
      .map(version =>
        differs(status, `migration ${printable(version)} is not recorded in ${table}`, {
          path: `ledger.${showIdentifier(version)}`,
          kind: 'missing',
          expected: printable(version),
          actual: null,
        }),
      ),
    ...answer.versions
      .filter(version => !wanted.has(version))
      .map(version =>
        differs(status, `migration ${printable(version)} is recorded in ${table} and not expected`, {
          path: `ledger.${showIdentifier(version)}`,
          kind: 'unexpected',
          expected: null,
          actual: printable(version),
        }),
      ),
  ]
}

/** What makes relations is a migration, with the image that serves. */
function fixFor(stack: Stack): string | null {
  return stack.job && migrateStack(stack)
}
