import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import pg from 'pg'
import { startServer } from '../../sandbox/postgres/server.ts'
import { runSql } from '../../sandbox/postgres/sql.ts'
import { type PostgresServer, superuser } from './postgres-server.ts'
import { until } from './until.ts'

/** The options of a primary that can have standbys. */
export const replicating = ['-c', 'max_wal_senders=4'] as const

/** Starts a hot standby of a server with `replicating`, which trusts local connections. It streams as soon as this resolves. */
export async function startStandby(primary: PostgresServer): Promise<PostgresServer> {
  const copy = mkdtempSync(join(tmpdir(), 'driftwatch-standby-'))
  try {
    await copyData(primary, copy)
    const options = [
      ...replicating,
      '-c',
      `primary_conninfo=host=${primary.directory} port=${primary.port} user=${superuser}`,
    ]
    const server = await startServer({ major: primary.major, socket: true, options, data: copy })
    const standby = {
      ...server,
      sql: (database: string, text: string, user = superuser) => runSql(server.url(user, database), text),
    }
    // The standby knows the time of this transaction. Without it, the next record would be up to 15 s away.
    await primary.sql('postgres', `COMMENT ON DATABASE postgres IS ''`)
    await until(() => hasReplayedAll(primary, standby))
    return standby
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/** Whether a standby streams, and has replayed everything that the primary has written. */
export async function hasReplayedAll(primary: PostgresServer, standby: PostgresServer): Promise<boolean> {
  const [[written] = []] = await primary.sql('postgres', 'SELECT pg_current_wal_insert_lsn()')
  const replayed = `SELECT coalesce(pg_last_wal_replay_lsn() >= '${written}', false) AND EXISTS (SELECT FROM pg_stat_wal_receiver)`
  const [[isThere] = []] = await standby.sql('postgres', replayed)
  return isThere === true
}

/** Stops the replay of a standby: it goes on receiving, and answers with what it has replayed. */
export async function pauseReplay(standby: PostgresServer): Promise<void> {
  await standby.sql('postgres', 'SELECT pg_wal_replay_pause()')
  await until(async () => {
    const [[state] = []] = await standby.sql('postgres', 'SELECT pg_get_wal_replay_pause_state()')
    return state === 'paused'
  })
}

/** Waits until a standby whose replay is paused has received something that it has not replayed. */
export async function untilBehind(standby: PostgresServer): Promise<void> {
  await until(async () => {
    const [[isBehind] = []] = await standby.sql(
      'postgres',
      'SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()',
    )
    return isBehind === true
  })
}

/** Waits until every standby of a server has received everything that was written. */
export async function untilReceived(primary: PostgresServer): Promise<void> {
  const [[written] = []] = await primary.sql('postgres', 'SELECT pg_current_wal_insert_lsn()')
  const late = `SELECT FROM pg_stat_replication WHERE flush_lsn IS NULL OR flush_lsn < '${written}'`
  await until(async () => (await primary.sql('postgres', late)).length === 0)
}

/** A base backup of a running server, as pg_basebackup makes it. */
async function copyData(primary: PostgresServer, to: string): Promise<void> {
  const from = join(primary.directory, 'data')
  const client = new pg.Client(primary.url(superuser, 'postgres'))
  await client.connect()
  try {
    const [start, stop] =
      primary.major < 15
        ? ["pg_start_backup('standby', true, false)", 'pg_stop_backup(false, false)']
        : ["pg_backup_start('standby', true)", 'pg_backup_stop(false)']
    await client.query(`SELECT ${start}`)
    cpSync(from, to, { recursive: true, filter: source => !/^postmaster\.(pid|opts)$/.test(basename(source)) })
    const { rows } = await client.query<{ labelfile: string }>(`SELECT labelfile FROM ${stop}`)
    writeFileSync(join(to, 'backup_label'), rows[0]?.labelfile ?? '')
    writeFileSync(join(to, 'standby.signal'), '')
  } finally {
    await client.end()
  }
}
