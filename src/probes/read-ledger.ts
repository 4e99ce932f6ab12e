import type { PostgresSession } from '../clients/postgres/postgres-connection.ts'
import type { LedgerFile } from '../config/sections/database.ts'
import { asDriftwatchError, type ErrorCode } from '../errors.ts'
import { quoteIdentifier, showIdentifier } from '../grants/model/identifiers.ts'
import { type LedgerColumnsRow, ledgerColumnsQuery } from './catalog-queries.ts'
import type { LedgerAnswer } from './probe.ts'

/** A table that exceeds these limits is not a ledger of migrations. */
const maxVersions = 10_000
const maxVersionLength = 256
const maxBytes = 2 * 1024 * 1024

/**
 * Reads the versions in a ledger within `limitMs` of server time. A failure is an answer, so that the catalog is not lost.
 * It can end the transaction, so the ledger is read last.
 */
export async function readLedger(session: PostgresSession, ledger: LedgerFile, limitMs: number): Promise<LedgerAnswer> {
  const { table, versionColumn } = ledger
  try {
    const [row] = await session.rows<LedgerColumnsRow>(ledgerColumnsQuery, splitName(ledger))
    if (!row) return { outcome: 'missing' }
    const [columns] = row
    if (!columns.includes(versionColumn)) return failed('NOT_FOUND', ledger, noColumn(ledger, columns))
    await session.run(settings(limitMs))
    const rows = await session.rows<VersionRow>(versionsQuery(ledger))
    const excess = excessOf(rows)
    if (excess !== null) return failed('UNRECOGNIZED_VALUE', ledger, `contains ${excess}`)
    return { outcome: 'read', versions: rows.map(([version]) => version) }
  } catch (thrown) {
    const { code, message } = asDriftwatchError(thrown)
    // The table was dropped since its columns were read.
    if (code === 'NOT_FOUND') return { outcome: 'missing' }
    return { outcome: 'failed', reason: { code, message: `ledger ${table}: ${message}` } }
  }
}

/** Limits locks and slow views. With row_security off, hidden rows are an error instead of missing migrations. */
function settings(limitMs: number): string {
  const [statement, lock] = [Math.ceil(limitMs), Math.ceil(limitMs / 2)]
  return `SET LOCAL statement_timeout = ${statement}; SET LOCAL lock_timeout = ${lock}; SET LOCAL row_security = off`
}

/** A version, and whether the versions up to it exceed the limit of bytes. */
type VersionRow = [version: string, isOver: boolean]

/** The server truncates to one unit above each limit, so that an excess is detected but not transferred. */
function versionsQuery(ledger: LedgerFile): string {
  const column = quoteIdentifier(ledger.versionColumn)
  const table = splitName(ledger).map(quoteIdentifier).join('.')
  const bytes = 'pg_catalog.octet_length(version)'
  return `
    SELECT version, total > ${maxBytes} FROM (
      SELECT version, ${bytes} AS bytes, pg_catalog.sum(${bytes}) OVER (ROWS UNBOUNDED PRECEDING) AS total FROM (
        SELECT pg_catalog.left(${column}::pg_catalog.text, ${maxVersionLength + 1}) AS version
        FROM ${table} WHERE ${column} IS NOT NULL LIMIT ${maxVersions + 1}
      ) cut
    ) counted WHERE total - bytes <= ${maxBytes}`
}

/** The limit that the rows exceed, or null. */
function excessOf(rows: readonly VersionRow[]): string | null {
  const isLong = ([version]: VersionRow) => version.length > maxVersionLength && [...version].length > maxVersionLength
  if (rows.some(isLong)) return `a version longer than ${maxVersionLength} characters`
  if (rows.length > maxVersions) return `more than ${maxVersions} versions`
  // The server counts bytes in its own encoding.
  return rows.some(([, isOver]) => isOver) ? `versions of more than ${maxBytes} bytes in total` : null
}

function splitName({ table }: LedgerFile): [schema: string, name: string] {
  const dot = table.indexOf('.')
  return [table.slice(0, dot), table.slice(dot + 1)]
}

function noColumn({ versionColumn }: LedgerFile, columns: readonly string[]): string {
  return `has no column ${showIdentifier(versionColumn)} (columns: ${columns.map(showIdentifier).join(', ') || 'none'})`
}

function failed(code: ErrorCode, { table }: LedgerFile, why: string): LedgerAnswer {
  return { outcome: 'failed', reason: { code, message: `ledger ${table} ${why}` } }
}
