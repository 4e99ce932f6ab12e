import type { PostgresSession } from '../clients/postgres-connection.ts'
import type { LedgerFile } from '../config/database-schema.ts'
import { asDriftwatchError, type ErrorCode } from '../errors.ts'
import { quoteIdentifier, showIdentifier } from '../grants/identifiers.ts'
import { type LedgerColumnsRow, ledgerColumnsQuery } from './catalog-queries.ts'
import type { LedgerAnswer } from './probe.ts'

/** What is more than these is no ledger of migrations; a version is counted in characters. */
const mostVersions = 10_000
const longestVersion = 256
const mostBytes = 2 * 1024 * 1024

/**
 * Reads the versions that a ledger has recorded, within `limitMs` of the server's time. Whatever keeps it from that is an
 * answer, so that it costs nothing else of the look; but the transaction may have ended with it, so it comes last.
 */
export async function readLedger(session: PostgresSession, ledger: LedgerFile, limitMs: number): Promise<LedgerAnswer> {
  const { table, versionColumn } = ledger
  try {
    const [found] = await session.rows<LedgerColumnsRow>(ledgerColumnsQuery, splitName(ledger))
    if (!found) return { outcome: 'missing' }
    const [columns] = found
    if (!columns.includes(versionColumn)) return failed('NOT_FOUND', ledger, noColumn(ledger, columns))
    await session.run(settings(limitMs))
    const rows = await session.rows<[string]>(versionsQuery(ledger))
    const versions = rows.map(([version]) => version)
    const excess = excessOf(versions)
    return excess === null ? { outcome: 'read', versions } : failed('UNRECOGNIZED_VALUE', ledger, `holds ${excess}`)
  } catch (thrown) {
    const { code, message } = asDriftwatchError(thrown)
    // It was there a moment ago.
    if (code === 'NOT_FOUND') return { outcome: 'missing' }
    return { outcome: 'failed', doubt: { code, message: `ledger ${table}: ${message}` } }
  }
}

/** A lock, or a view that takes its time, must not use up what the whole look has; a hidden row is no missing migration. */
function settings(limitMs: number): string {
  const [statement, lock] = [Math.ceil(limitMs), Math.ceil(limitMs / 2)]
  return `SET LOCAL statement_timeout = ${statement}; SET LOCAL lock_timeout = ${lock}; SET LOCAL row_security = off`
}

/** Cut by the server, one more of each kind than may be: what is too much is noticed, and never sent. */
function versionsQuery(ledger: LedgerFile): string {
  const column = quoteIdentifier(ledger.versionColumn)
  const table = splitName(ledger).map(quoteIdentifier).join('.')
  const bytes = 'pg_catalog.octet_length(version)'
  return `
    SELECT version FROM (
      SELECT version, pg_catalog.sum(${bytes}) OVER (ROWS UNBOUNDED PRECEDING) - ${bytes} AS before FROM (
        SELECT pg_catalog.left(${column}::pg_catalog.text, ${longestVersion + 1}) AS version
        FROM ${table} WHERE ${column} IS NOT NULL LIMIT ${mostVersions + 1}
      ) cut
    ) counted WHERE before <= ${mostBytes}`
}

/** Of what there is too much, or null. */
function excessOf(versions: readonly string[]): string | null {
  const isLong = (version: string) => version.length > longestVersion && [...version].length > longestVersion
  if (versions.some(isLong)) return `a version of more than ${longestVersion} characters`
  if (versions.length > mostVersions) return `more than ${mostVersions} versions`
  const bytes = versions.reduce((sum, version) => sum + Buffer.byteLength(version), 0)
  return bytes > mostBytes ? `versions of more than ${mostBytes} bytes` : null
}

function splitName({ table }: LedgerFile): [schema: string, name: string] {
  const dot = table.indexOf('.')
  return [table.slice(0, dot), table.slice(dot + 1)]
}

function noColumn({ versionColumn }: LedgerFile, columns: readonly string[]): string {
  return `has no column ${showIdentifier(versionColumn)}: it has ${columns.map(showIdentifier).join(', ') || 'none'}`
}

function failed(code: ErrorCode, { table }: LedgerFile, why: string): LedgerAnswer {
  return { outcome: 'failed', doubt: { code, message: `ledger ${table} ${why}` } }
}
