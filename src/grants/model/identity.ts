import type { Oid } from './oid.ts'

/** Identifies the database and the server of a connection. */
export interface DatabaseIdentity {
  readonly oid: Oid
  readonly name: string
  /** Created by `initdb`; copies and replicas of the server share it. Null without permission to read it. */
  readonly systemIdentifier: string | null
  /** Grows by one when a standby is promoted. Null without permission to read it. */
  readonly timeline: number | null
  /** The start time of the server in seconds, with six digits: unique in practice. Null without permission to read it. */
  readonly startedAt: string | null
  /** Whether it is a replica. */
  readonly isReplica: boolean
}

/**
 * The database of a server and its replicas, whichever of them answers. Null if the system identifier could not be read,
 * because names and OIDs can be equal on different servers.
 */
export function databaseKey({ systemIdentifier, oid }: DatabaseIdentity): string | null {
  return systemIdentifier === null ? null : `${systemIdentifier}/${oid}`
}

/**
 * Whether two connections lead to the same database, on one server or on a server and its replica. Names and OIDs alone can be
 * equal on different servers, and the system identifier on copies.
 */
export function isSameDatabase(one: DatabaseIdentity, other: DatabaseIdentity): boolean {
  if (one.oid !== other.oid || one.name !== other.name) return false
  const isKnown = one.systemIdentifier !== null && other.systemIdentifier !== null
  if (isKnown && one.systemIdentifier !== other.systemIdentifier) return false
  if (one.startedAt !== null && one.startedAt === other.startedAt) return true
  return isKnown && one.isReplica !== other.isReplica
}
