import t, { type Test } from 'tap'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import { loadWorld } from '../../sandbox/world.ts'
import { createPostgresReader } from '../../src/clients/postgres/postgres.ts'
import type { PostgresSession } from '../../src/clients/postgres/postgres-connection.ts'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import { startDeadline } from '../../src/concurrency/deadline.ts'
import { readEnvironment } from '../../src/config/environment.ts'
import { parseConfig } from '../../src/config/load.ts'
import { readCatalog } from '../../src/probes/read-catalog.ts'
import type { Report } from '../../src/report/report.ts'
import { startServer } from '../../src/server.ts'
import { captureLog } from '../helpers/capture-log.ts'
import { createAdvancedClock } from '../helpers/clock.ts'
import { installedMajors, type PostgresServer, startPostgres } from '../helpers/postgres-server.ts'
import { hasReplayedAll, pauseReplay, replicating, startStandby, untilBehind } from '../helpers/postgres-standby.ts'
import { startTcpProxy } from '../helpers/tcp-proxy.ts'
import { until } from '../helpers/until.ts'

const minute = 60_000
const [staleAfterMs, verifyEveryMs] = [5 * minute, 10 * minute]
const newest = installedMajors.at(-1) ?? 18
const checks = ['role-grants', 'schema'] as const

/** A server whose database matches the policy. */
async function startPrimary(t: Test, major = newest): Promise<PostgresServer> {
  const server = await startPostgres(major, { options: [...replicating] })
  t.teardown(() => server.stop())
  await server.sql('postgres', 'CREATE ROLE monitor LOGIN; CREATE ROLE owner; CREATE ROLE reader')
  await server.sql('postgres', 'CREATE DATABASE app')
  await server.sql('app', 'CREATE SCHEMA runtime AUTHORIZATION owner; SET ROLE owner; CREATE TABLE runtime.events ()')
  return server
}

async function startPair(t: Test, major = newest) {
  const primary = await startPrimary(t, major)
  const standby = await startStandby(primary)
  t.teardown(() => standby.stop())
  return { primary, standby, caughtUp: () => until(() => hasReplayedAll(primary, standby)) }
}

const openToReaders = 'GRANT USAGE ON SCHEMA runtime TO reader'
const closeToReaders = 'REVOKE USAGE ON SCHEMA runtime FROM reader'

/** The real service for one stack, whose database is at an address that can be switched. */
async function watch(t: Test, server: PostgresServer) {
  const emulator = await startCloudRun({ world: loadWorld({}) })
  const address = await startTcpProxy(server.port)
  const clock = createAdvancedClock()
  const log = captureLog()
  const database = {
    url: `postgres://monitor@127.0.0.1:${address.port}/app?sslmode=disable`,
    roles: { owner: {}, reader: {} },
    trustedRoles: ['postgres'],
    schemas: { runtime: { owner: 'owner', relations: ['events'] } },
  }
  const place = { project: 'openagentsgemini', region: 'us-central1' }
  const stacks = [{ name: 'runtime', ...place, service: { name: 'runtime' }, database }]
  // Cycles run only when the test requests them: the next one is a year later.
  const settings = { schedule: '0 0 1 1 *', staleAfter: '400d', host: '127.0.0.1', stacks }
  const config = parseConfig(JSON.stringify(settings), 'test.yaml', {})
  const service = await startServer({
    config: { ...config, staleAfterMs, verifyEveryMs },
    environment: readEnvironment({ CLOUD_RUN_EMULATOR_HOST: emulator.host, PORT: '0' }),
    clock,
    log: createLog({ level: 'info', clock, stream: log.stream }),
    nodeVersion: process.version,
  })
  t.teardown(async () => {
    await service.close()
    await Promise.all([address.close(), emulator.close()])
  })
  const report = async () => (await (await fetch(`http://127.0.0.1:${service.port}/drift`)).json()) as Report
  const statesOf = ({ stacks }: Report) =>
    checks.map(kind => {
      const state = stacks[0]?.checks.find(({ check }) => check === kind)
      if (!state) throw new Error(`no ${kind}`)
      return state
    })
  await until(async () => (await report()).cycle !== null)
  return {
    clock,
    address,
    states: async () => statesOf(await report()),
    /** Runs a cycle; the states after it, and when it started. */
    async look() {
      await service.refresh()
      const after = await report()
      return { states: statesOf(after), startedAt: after.cycle?.startedAt ?? '' }
    },
    /** The changes of status in the log: `role-grants in_sync drifted`. */
    changes: () =>
      log
        .lines()
        .filter(({ message, check }) => message === 'check status changed' && checks.includes(check as 'schema'))
        .map(({ check, from, to }) => `${check} ${from} ${to}`),
    logged: (text: string) => log.lines().filter(({ message }) => message === text),
  }
}

const aStandby = 'A standby of this database answered.'

t.test('a standby that has replayed everything is current, however long its primary was idle', async t => {
  const { standby } = await startPair(t)
  const { clock, look, changes } = await watch(t, standby)
  for (let looks = 0; looks < 4; looks++) {
    clock.advance(staleAfterMs / 2)
    const { states, startedAt } = await look()
    for (const state of states) {
      t.match(state, { status: 'in_sync', notes: [aStandby], error: null })
      t.ok((state.observedAt ?? '') >= startedAt, `${state.observedAt} is the time of the probe`)
    }
  }
  t.strictSame(changes(), [])
})

t.test('a standby that restarts while its primary is idle is current again', async t => {
  const { standby } = await startPair(t)
  const { clock, look } = await watch(t, standby)
  await standby.kill()
  await standby.start()
  const streams = 'SELECT FROM pg_stat_wal_receiver WHERE pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()'
  await until(async () => (await standby.sql('postgres', streams)).length > 0)
  clock.advance(2 * staleAfterMs)
  const { states, startedAt } = await look()
  for (const state of states) {
    t.match(state, { status: 'in_sync', notes: [aStandby], error: null })
    t.ok((state.observedAt ?? '') >= startedAt)
  }
})

for (const major of installedMajors)
  t.test(`a standby whose replay is paused becomes unknown, and says so: PostgreSQL ${major}`, async t => {
    const { primary, standby, caughtUp } = await startPair(t, major)
    const service = await watch(t, standby)
    const before = await service.states()
    await pauseReplay(standby)
    await primary.sql('app', openToReaders)
    await untilBehind(standby)
    service.clock.advance(minute)
    const { states: paused } = await service.look()
    for (const [index, state] of paused.entries()) {
      t.match(state, { status: 'in_sync', error: { code: 'STALE', message: /standby/ } })
      t.equal(state.observedAt, before[index]?.observedAt, 'an older answer does not replace a more recent one')
    }
    service.clock.advance(staleAfterMs)
    for (const state of await service.states()) t.match(state, { status: 'unknown', error: { code: 'STALE' } })
    for (let looks = 0; looks < 3; looks++) {
      service.clock.advance(minute)
      for (const state of (await service.look()).states)
        t.match(state, { status: 'unknown', error: { code: 'STALE' }, notes: [/^Previous status: in_sync/, aStandby] })
    }
    await standby.sql('postgres', 'SELECT pg_wal_replay_resume()')
    await caughtUp()
    const [grants, schema] = (await service.look()).states
    t.match(grants, { status: 'drifted', notes: [aStandby], error: null })
    t.match(schema, { status: 'in_sync', notes: [aStandby], error: null })
    t.strictSame(
      service.changes().sort(),
      [
        'role-grants in_sync unknown',
        'role-grants unknown drifted',
        'schema in_sync unknown',
        'schema unknown in_sync',
      ],
      'the status changes once',
    )
  })

t.test('a standby that is behind from the start proves nothing', async t => {
  const { primary, standby } = await startPair(t)
  await primary.sql('postgres', 'CREATE ROLE last')
  await until(() => hasReplayedAll(primary, standby))
  const [[replayedAt] = []] = await standby.sql('postgres', 'SELECT pg_last_xact_replay_timestamp()')
  await pauseReplay(standby)
  await primary.sql('app', openToReaders)
  await untilBehind(standby)
  const service = await watch(t, standby)
  service.clock.advance(2 * 60 * minute)
  for (const state of (await service.look()).states) t.match(state, { status: 'unknown' })
  const since = (await service.states()).map(state => state.since)
  for (let looks = 0; looks < 2; looks++) {
    service.clock.advance(minute)
    for (const state of (await service.look()).states) {
      t.match(state, { status: 'unknown', error: { code: 'STALE' }, differences: [], fix: null })
      t.ok(state.notes.includes(aStandby))
      t.ok(Date.parse(state.observedAt ?? '') <= (replayedAt as Date).getTime(), 'it is as old as the last transaction')
    }
  }
  t.strictSame(
    (await service.states()).map(state => state.since),
    since,
    'since when is not moved',
  )
})

t.test('a standby that is behind and has replayed no transaction proves nothing', async t => {
  const { primary, standby, caughtUp } = await startPair(t)
  await primary.sql('postgres', 'CHECKPOINT')
  await caughtUp()
  await standby.sql('postgres', 'CHECKPOINT')
  await standby.kill()
  await standby.start()
  await until(async () => (await standby.sql('postgres', 'SELECT FROM pg_stat_wal_receiver')).length > 0)
  t.strictSame(await standby.sql('postgres', 'SELECT pg_last_xact_replay_timestamp()'), [[null]])
  await pauseReplay(standby)
  await primary.sql('app', openToReaders)
  await untilBehind(standby)
  const service = await watch(t, standby)
  for (const state of (await service.look()).states)
    t.match(state, { status: 'unknown', observedAt: null, error: { code: 'STALE', message: /standby/ } })
})

for (const major of installedMajors)
  t.test(`a standby without a WAL receiver is as old as its last transaction: PostgreSQL ${major}`, async t => {
    const { primary, standby } = await startPair(t, major)
    await primary.sql('postgres', 'CREATE ROLE last')
    await until(() => hasReplayedAll(primary, standby))
    const service = await watch(t, standby)
    await primary.kill()
    await until(async () => (await standby.sql('postgres', 'SELECT FROM pg_stat_wal_receiver')).length === 0)
    service.clock.advance(staleAfterMs)
    for (const state of (await service.look()).states) t.match(state, { status: 'unknown', error: { code: 'STALE' } })

    await standby.sql('postgres', 'SELECT pg_promote()')
    const promoted = (await service.look()).states
    for (const state of promoted) t.match(state, { status: 'in_sync', notes: [], error: null })
    t.match(service.logged('database server changed or restarted'), [
      { before: { role: 'standby', timeline: 1 }, after: { role: 'primary', timeline: 2 } },
    ])
  })

t.test('a standby that may not be asked for its age is noted', async t => {
  const { primary, standby, caughtUp } = await startPair(t)
  const service = await watch(t, standby)
  for (const name of ['pg_last_wal_receive_lsn', 'pg_last_xact_replay_timestamp'])
    await primary.sql('app', `REVOKE EXECUTE ON FUNCTION pg_catalog.${name}() FROM PUBLIC`)
  await caughtUp()
  const notes = ['A standby of this database answered, and the age of its data is unknown.']
  for (const state of (await service.look()).states) t.match(state, { status: 'in_sync', notes, error: null })
})

t.test('a login without any optional privilege is enough', async t => {
  const primary = await startPrimary(t)
  const revoked = `
    DO $$ DECLARE f regprocedure; BEGIN
      FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
        AND proname ~ '^(pg_control_|pg_last_|pg_current_wal|pg_walfile|pg_stat_get_wal|pg_postmaster|pg_is_in_recovery)'
      LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f); END LOOP; END $$`
  await primary.sql('app', revoked)
  const service = await watch(t, primary)
  for (const state of (await service.look()).states) t.match(state, { status: 'in_sync', notes: [], error: null })
})

t.test('the server is identified without a query of its own', async t => {
  const primary = await startPrimary(t)
  const limits = { statementTimeoutMs: 4000, lockTimeoutMs: 2000 }
  const reader = createPostgresReader({ url: primary.url('monitor', 'app'), ...limits })
  t.teardown(() => reader.close())
  let queries = 0
  const catalog = await reader.read(startDeadline(systemClock, 5000), session => {
    const rows: PostgresSession['rows'] = (...query) => {
      queries += 1
      return session.rows(...query)
    }
    return readCatalog({ ...session, rows }, { schemas: [], roles: [] })
  })
  t.equal(catalog.database.name, 'app')
  t.equal(queries, 8, 'server, roles, memberships, schemas, two kinds of relations, functions and default privileges')
})

t.test('an address that leads to another primary is followed within verifyEvery', async t => {
  const [first, second] = [await startPrimary(t), await startPrimary(t)]
  await second.sql('app', openToReaders)
  const service = await watch(t, first)
  for (const state of await service.states()) t.match(state, { status: 'in_sync' })
  service.address.lead(second.port)
  service.clock.advance(verifyEveryMs)
  t.match((await service.look()).states, [{ status: 'drifted' }, { status: 'in_sync' }])
  const sessions = "SELECT FROM pg_stat_activity WHERE usename = 'monitor'"
  t.strictSame(await first.sql('postgres', sessions), [], 'no session is left on the first server')
  t.equal((await second.sql('postgres', sessions)).length, 1)
  t.equal(service.logged('database server changed or restarted').length, 1)

  await second.sql('app', closeToReaders)
  t.match((await service.look()).states, [{ status: 'in_sync' }, { status: 'in_sync' }])
  t.equal((await second.sql('postgres', sessions)).length, 1, 'a connection is reused within verifyEvery')
})

t.test('an address that leads to a standby that is behind closes no incident', async t => {
  const { primary, standby } = await startPair(t)
  const service = await watch(t, primary)
  await pauseReplay(standby)
  await primary.sql('app', openToReaders)
  await untilBehind(standby)
  t.match((await service.look()).states, [{ status: 'drifted' }, { status: 'in_sync' }])
  service.address.lead(standby.port)
  service.address.cut()
  // The cycle after the cut may still find the old connection.
  const states = await until(async () => {
    const { states } = await service.look()
    return states.every(({ error }) => error?.code === 'STALE') && states
  })
  t.match(states, [{ status: 'drifted' }, { status: 'in_sync' }])
})

t.test('an address that leads to a server without the database, or a login that was locked, is an error', async t => {
  const cases = [
    ['UNAUTHENTICATED', 'ALTER ROLE monitor NOLOGIN', 'ALTER ROLE monitor LOGIN'],
    ['PERMISSION_DENIED', 'REVOKE CONNECT ON DATABASE app FROM PUBLIC', 'GRANT CONNECT ON DATABASE app TO PUBLIC'],
  ] as const
  const primary = await startPrimary(t)
  const service = await watch(t, primary)
  for (const [code, change, undo] of cases) {
    await primary.sql('postgres', change)
    service.clock.advance(verifyEveryMs - staleAfterMs / 2)
    await service.look()
    service.clock.advance(staleAfterMs / 2)
    for (const state of (await service.look()).states) t.match(state, { error: { code } })
    service.clock.advance(staleAfterMs)
    for (const state of await service.states()) t.match(state, { status: 'unknown', error: { code } })
    await primary.sql('postgres', undo)
    for (const state of (await service.look()).states) t.match(state, { status: 'in_sync', error: null })
  }
})
