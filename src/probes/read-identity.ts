import type { PostgresSession } from '../clients/postgres/postgres-connection.ts'
import { DriftwatchError } from '../errors.ts'
import type { DatabaseIdentity } from '../grants/model/identity.ts'
import { type IdentityRow, identityQuery, type SystemIdentifierRow, systemIdentifierQuery } from './catalog-queries.ts'

/** Identifies the database and server of a session. Needs only the CONNECT privilege. */
export async function readIdentity(session: PostgresSession): Promise<DatabaseIdentity> {
  const [row] = await session.rows<IdentityRow>(identityQuery)
  if (!row) throw new DriftwatchError('MALFORMED_RESPONSE', 'PostgreSQL did not return the current database')
  const [oid, name, startedAt, isReplica, mayIdentify] = row
  const [identified] = mayIdentify ? await session.rows<SystemIdentifierRow>(systemIdentifierQuery) : []
  return { oid, name, startedAt, isReplica, systemIdentifier: identified?.[0] ?? null }
}
