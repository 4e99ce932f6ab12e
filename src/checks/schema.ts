import type { DatabaseConfig } from '../config/config.ts'
import type { LedgerFile } from '../config/sections/database.ts'
import type { Catalog } from '../grants/model/catalog.ts'
import { showIdentifier } from '../grants/model/identifiers.ts'
import { printable } from '../printable.ts'
import type { LedgerAnswer } from '../probes/probe.ts'
import type { Check, CheckInput, Observations } from './check.ts'
import { cannotJudge, conclude, differs, inSync, type Part } from './finding.ts'
import { migrationExecution } from './migration-execution.ts'
import { serverNotes } from './parts/server-notes.ts'

/** The probes that show whether a migration is in progress. */
const migrationProbes = ['service', 'job', 'execution', 'registry'] as const
type MigrationProbe = (typeof migrationProbes)[number]
type Input = CheckInput<'postgres-catalog', MigrationProbe>

/** The relations that the release needs exist, and the ledger has exactly the expected migrations. */
export const schema: Check<'postgres-catalog', MigrationProbe> = {
  kind: 'schema',
  needs: ['postgres-catalog'],
  uses: migrationProbes,
  appliesTo: ({ database }) => database !== null && (database.ledger !== undefined || needsRelations(database)),
  judge(input) {
    const { stack, observed } = input
    const database = stack.database as DatabaseConfig
    const seen = observed['postgres-catalog']
    if (!seen) throw new Error('no catalog was observed for a stack with a database')
    const status = isMigrating(input) ? 'pending' : 'drifted'
    const parts = [
      ...Object.entries(database.schemas).flatMap(([name, { relations }]) =>
        judgeRelations(name, relations, seen.catalog, status),
      ),
      ...(database.ledger ? judgeLedger(database.ledger, seen.ledger, status) : []),
    ]
    const finding = conclude(parts, describeInSync(database))
    return { ...finding, notes: [...serverNotes(seen.server), ...finding.notes] }
  },
}

function describeInSync({ ledger }: DatabaseConfig): string {
  const relations = 'All relations that the release needs exist'
  return ledger ? `${relations}, and ledger ${ledger.table} has exactly the expected migrations.` : `${relations}.`
}

function needsRelations({ schemas }: DatabaseConfig): boolean {
  return Object.values(schemas).some(({ relations }) => relations.length > 0)
}

/** A pending migration explains what does not exist yet; one that could not be observed does not. */
function isMigrating({ observed, ...input }: Input): boolean {
  if (!migrationExecution.appliesTo(input.stack) || !isMigrationObserved(observed)) return false
  return migrationExecution.judge({ ...input, observed }).status === 'pending'
}

function isMigrationObserved(
  observed: Input['observed'],
): observed is Observations<'postgres-catalog' | MigrationProbe> {
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
    return [differs(status, `Schema ${showIdentifier(name)} is missing.`, { path, expected })]
  }
  const known = new Set(actual.objects.filter(({ args }) => args === null).map(object => object.name))
  return relations.map(relation => {
    const shown = `${showIdentifier(name)}.${showIdentifier(relation)}`
    const difference = { path: `${path}.relations.${showIdentifier(relation)}`, expected: shown }
    return known.has(relation) ? inSync : differs(status, `Relation ${shown} is missing.`, difference)
  })
}

function judgeLedger(
  { table, expected }: LedgerFile,
  answer: LedgerAnswer | null,
  status: 'pending' | 'drifted',
): Part[] {
  if (!answer) return [cannotJudge({ code: 'BUG', message: `ledger ${table} was not read` })]
  if (answer.outcome === 'failed') return [cannotJudge(answer.reason)]
  if (answer.outcome === 'missing')
    return [differs(status, `Ledger ${table} is missing.`, { path: 'ledger', expected: table })]
  const recorded = new Set(answer.versions)
  const wanted = new Set(expected)
  const pathOf = (version: string) => `ledger.${showIdentifier(version)}`
  const missing = expected
    .filter(version => !recorded.has(version))
    .map(version => {
      const shown = printable(version)
      return differs(status, `Migration ${shown} is missing from ledger ${table}.`, {
        path: pathOf(version),
        expected: shown,
      })
    })
  const unexpected = answer.versions
    .filter(version => !wanted.has(version))
    .map(version => {
      const shown = printable(version)
      return differs(status, `Ledger ${table} has the unexpected migration ${shown}.`, {
        path: pathOf(version),
        actual: shown,
      })
    })
  return [inSync, ...missing, ...unexpected]
}
