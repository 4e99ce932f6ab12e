import type { PostgresSession } from '../clients/postgres/postgres-connection.ts'
import type { LedgerFile } from '../config/sections/database.ts'
import { asDriftwatchError, type ErrorCode } from '../errors.ts'
import { quoteIdentifier, showIdentifier } from '../grants/model/identifiers.ts'
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
    const rows = await session.rows<VersionRow>(versionsQuery(ledger))
    const excess = excessOf(rows)
    if (excess !== null) return failed('UNRECOGNIZED_VALUE', ledger, `holds ${excess}`)
    return { outcome: 'read', versions: rows.map(([version]) => version) }
  } catch (thrown) {
    const { code, message } = asDriftwatchError(thrown)
    // It was there a moment ago.
    if (code === 'NOT_FOUND') return { outcome: 'missing' }
    return { outcome: 'failed', reason: { code, message: `ledger ${table}: ${message}` } }
  }
}

/** A lock, or a view that takes its time, must not use up what the whole look has; a hidden row is no missing migration. */
function settings(limitMs: number): string {
  const [statement, lock] = [Math.ceil(limitMs), Math.ceil(limitMs / 2)]
  return `SET LOCAL statement_timeout = ${statement}; SET LOCAL lock_timeout = ${lock}; SET LOCAL row_security = off`
}

/** A version, and whether the bytes of the versions up to it are too many. */
type VersionRow = [version: string, isOver: boolean]

/** Cut by the server, one more of each kind than may be: what is too much is noticed, and never sent. */
function versionsQuery(ledger: LedgerFile): string {
  const column = quoteIdentifier(ledger.versionColumn)
  const table = splitName(ledger).map(quoteIdentifier).join('.')
  const bytes = 'pg_catalog.octet_length(version)'
  return `
    SELECT version, total > ${mostBytes} FROM (
      SELECT version, ${bytes} AS bytes, pg_catalog.sum(${bytes}) OVER (ROWS UNBOUNDED PRECEDING) AS total FROM (
        SELECT pg_catalog.left(${column}::pg_catalog.text, ${longestVersion + 1}) AS version
        FROM ${table} WHERE ${column} IS NOT NULL LIMIT ${mostVersions + 1}
      ) cut
    ) counted WHERE total - bytes <= ${mostBytes}`
}

/** Of what there is too much, or null. */
function excessOf(rows: readonly VersionRow[]): string | null {
  const isLong = ([version]: VersionRow) => version.length > longestVersion && [...version].length > longestVersion
  if (rows.some(isLong)) return `a version of more than ${longestVersion} characters`
  if (rows.length > mostVersions) return `more than ${mostVersions} versions`
  // The server cuts by the bytes of its own encoding.
  return rows.some(([, isOver]) => isOver) ? `versions of more than ${mostBytes} bytes` : null
}

function splitName({ table }: LedgerFile): [schema: string, name: string] {
  const dot = table.indexOf('.')
  return [table.slice(0, dot), table.slice(dot + 1)]
}

function noColumn({ versionColumn }: LedgerFile, columns: readonly string[]): string {
  return `has no column ${showIdentifier(versionColumn)}: it has ${columns.map(showIdentifier).join(', ') || 'none'}`
}

function failed(code: ErrorCode, { table }: LedgerFile, why: string): LedgerAnswer {
  return { outcome: 'failed', reason: { code, message: `ledger ${table} ${why}` } }
}
