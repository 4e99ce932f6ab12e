import type { PostgresSession } from '../clients/postgres-connection.ts'
import type { LedgerFile } from '../config/database-schema.ts'
import { asDriftwatchError, type ErrorCode } from '../errors.ts'
import { quoteIdentifier } from '../grants/identifiers.ts'
import type { LedgerAnswer } from './probe.ts'

/** More versions than this are no ledger of migrations. */
const mostVersions = 10_000

/** Whatever else fails has failed for the catalog too. */
const answers: readonly ErrorCode[] = ['PERMISSION_DENIED', 'INVALID_ARGUMENT']

/** Reads the versions that a ledger has recorded; the last statement of its transaction, since it may end it. */
export async function readLedger(session: PostgresSession, ledger: LedgerFile): Promise<LedgerAnswer> {
  const column = quoteIdentifier(ledger.versionColumn)
  const query = `SELECT ${column}::pg_catalog.text FROM ${tableName(ledger)} WHERE ${column} IS NOT NULL LIMIT ${mostVersions + 1}`
  try {
    const rows = await session.rows<[string]>(query)
    if (rows.length <= mostVersions) return { outcome: 'read', versions: rows.map(([version]) => version) }
    const message = `ledger ${ledger.table} holds more than ${mostVersions} versions`
    return { outcome: 'failed', doubt: { code: 'UNRECOGNIZED_VALUE', message } }
  } catch (thrown) {
    const { code, message } = asDriftwatchError(thrown)
    if (code === 'NOT_FOUND') return { outcome: 'missing' }
    if (answers.includes(code))
      return { outcome: 'failed', doubt: { code, message: `ledger ${ledger.table}: ${message}` } }
    throw thrown
  }
}

function tableName({ table }: LedgerFile): string {
  const dot = table.indexOf('.')
  return `${quoteIdentifier(table.slice(0, dot))}.${quoteIdentifier(table.slice(dot + 1))}`
}
