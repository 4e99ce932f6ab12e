import type { PostgresSession } from '../clients/postgres/postgres-connection.ts'
import type { EpochMs } from '../clock.ts'
import { DriftwatchError } from '../errors.ts'
import type { DatabaseIdentity } from '../grants/model/identity.ts'
import type { Oid } from '../grants/model/oid.ts'

/** The server, database and role of a session. */
export interface SessionServer {
  readonly version: number
  readonly identity: DatabaseIdentity
  readonly database: { readonly oid: Oid; readonly name: string; readonly owner: Oid }
  readonly acl: string | null
  readonly currentRole: Oid
  readonly recency: Recency
}

/** How recent the data of a server is. */
export type Recency =
  /** A primary, or a standby that has replayed everything it received. */
  | { readonly kind: 'current' }
  /** A standby that is behind: when the last transaction that it replayed was committed, and how long ago by its clock. */
  | { readonly kind: 'behind'; readonly replayedAt: EpochMs; readonly ageMs: number }
  /** A standby that is behind, and does not say since when. */
  | { readonly kind: 'lost' }
  /** A standby that does not say whether it is behind. */
  | { readonly kind: 'unknown' }

/** The oldest supported server. */
const oldestServer = 140000

/** Reads the server of a session in one query. Needs only the CONNECT privilege. */
export async function readServer(session: PostgresSession): Promise<SessionServer> {
  const [row] = await session.rows<ServerRow>(serverQuery(session))
  if (!row) throw new DriftwatchError('MALFORMED_RESPONSE', 'PostgreSQL did not return the current database and role')
  const [version, oid, name, owner, acl, currentRole, isReplica, ...rest] = row
  const [startedAt, systemIdentifier, timeline, isCaughtUp, replayedAt, ageMs] = rest
  if (version < oldestServer)
    throw new DriftwatchError(
      'UNIMPLEMENTED',
      `server version ${version} is not supported: Driftwatch requires PostgreSQL 14 or later`,
    )
  return {
    version,
    identity: { oid, name, systemIdentifier, timeline, startedAt, isReplica },
    database: { oid, name, owner },
    acl,
    currentRole,
    recency: isReplica ? recencyOf(isCaughtUp, replayedAt, ageMs) : { kind: 'current' },
  }
}

function recencyOf(isCaughtUp: boolean | null, replayedAt: number | null, ageMs: number | null): Recency {
  if (isCaughtUp) return { kind: 'current' }
  if (replayedAt !== null && ageMs !== null) return { kind: 'behind', replayedAt, ageMs }
  return { kind: isCaughtUp === null ? 'unknown' : 'lost' }
}

type ServerRow = [
  version: number,
  oid: number,
  name: string,
  owner: number,
  acl: string | null,
  currentRole: number,
  isReplica: boolean,
  startedAt: string | null,
  systemIdentifier: string | null,
  timeline: number | null,
  isCaughtUp: boolean | null,
  replayedAt: number | null,
  ageMs: number | null,
]

const isReplica = "coalesce(pg_catalog.current_setting('in_hot_standby', true) = 'on', false)"

/**
 * The timeline in the control file is that of the last checkpoint, which may precede a promotion. The functions for the
 * current one fail on a standby.
 */
const timelineOfPrimary =
  "('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8))::bit(32)::int"

/** A standby without a receiver does not know what it has missed. Null: it has received nothing since it started. */
const isCaughtUp = `CASE WHEN NOT ${isReplica} OR pg_catalog.pg_last_wal_receive_lsn() IS NULL THEN NULL
    ELSE pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn()
      AND EXISTS (SELECT FROM pg_catalog.pg_stat_get_wal_receiver() w WHERE w.pid IS NOT NULL) END`

const msOf = (value: string) => `(extract(epoch FROM ${value}) * 1000)::float8`

/** Names only functions that the role may call: PostgreSQL checks the privileges even of what is never evaluated. */
function serverQuery({ mayCall }: PostgresSession): string {
  const control = mayCall('pg_control_checkpoint')
    ? '(SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())'
    : 'NULL::int'
  const mayReadPosition = mayCall('pg_current_wal_insert_lsn') && mayCall('pg_walfile_name')
  const mayCompare =
    mayCall('pg_last_wal_receive_lsn') && mayCall('pg_last_wal_replay_lsn') && mayCall('pg_stat_get_wal_receiver')
  const replayTime = mayCall('pg_last_xact_replay_timestamp')
    ? `CASE WHEN ${isReplica} THEN pg_catalog.pg_last_xact_replay_timestamp() END`
    : 'NULL::timestamptz'
  return `
  SELECT pg_catalog.current_setting('server_version_num')::int, d.oid, d.datname, d.datdba, d.datacl::text, r.oid,
    ${isReplica},
    ${mayCall('pg_postmaster_start_time') ? 'extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text' : 'NULL'},
    ${mayCall('pg_control_system') ? '(SELECT system_identifier::text FROM pg_catalog.pg_control_system())' : 'NULL'},
    CASE WHEN ${isReplica} THEN ${control} ELSE ${mayReadPosition ? timelineOfPrimary : control} END,
    ${mayCompare ? isCaughtUp : 'NULL::bool'},
    ${msOf(replayTime)},
    ${msOf(`pg_catalog.clock_timestamp() - (${replayTime})`)}
  FROM pg_catalog.pg_database d, pg_catalog.pg_roles r
  WHERE d.datname = pg_catalog.current_database() AND r.rolname = CURRENT_USER`
}
