import type { Oid } from './oid.ts'

/** Which database of which server a connection leads to. */
export interface DatabaseIdentity {
  readonly oid: Oid
  readonly name: string
  /** What `initdb` gave the server, and its copies and replicas have too; null where it may not be read. */
  readonly systemIdentifier: string | null
  /** When the server was started, in seconds with six digits: no two servers share it. */
  readonly startedAt: string
  /** Whether it is a replica. */
  readonly isReplica: boolean
}

/**
 * Whether two connections lead to the same database. Names and OIDs are alike on servers that were set up alike, and a copy
 * of a server has its system identifier too; so it must be one server, or a server and a replica of it.
 */
export function isSameDatabase(one: DatabaseIdentity, other: DatabaseIdentity): boolean {
  if (one.oid !== other.oid || one.name !== other.name) return false
  const isKnown = one.systemIdentifier !== null && other.systemIdentifier !== null
  if (isKnown && one.systemIdentifier !== other.systemIdentifier) return false
  if (one.startedAt === other.startedAt) return true
  return isKnown && one.isReplica !== other.isReplica
}
