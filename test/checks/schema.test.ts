import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import { readScenario, type ScenarioName } from '../../sandbox/scenarios.ts'
import { loadWorld } from '../../sandbox/world.ts'
import { runCli } from '../../src/cli/cli.ts'
import { createPostgresReader } from '../../src/clients/postgres/postgres.ts'
import { systemClock } from '../../src/clock.ts'
import { startDeadline } from '../../src/concurrency/deadline.ts'
import { readLedger } from '../../src/probes/read-ledger.ts'
import type { Report } from '../../src/report/report.ts'
import { installedMajors, startPostgres } from '../helpers/postgres-server.ts'

const major = installedMajors.includes(16) ? 16 : (installedMajors.at(-1) ?? 16)
const nobodyListens = '127.0.0.1:1'

t.test('the checks on a database', async t => {
  const server = await startPostgres(major)
  t.teardown(() => server.stop())
  await server.sql('postgres', 'CREATE ROLE monitor LOGIN; CREATE ROLE owner')
  await server.sql('postgres', 'CREATE DATABASE app')
  await server.sql(
    'app',
    `CREATE SCHEMA runtime AUTHORIZATION owner; SET ROLE owner;
     CREATE TABLE runtime.events (id int); CREATE TABLE runtime.versions (version int); CREATE TABLE runtime."odd.one" ("v 1" text);
     INSERT INTO runtime.versions VALUES (1), (2), (NULL)`,
  )
  const url = server.url('monitor', 'app')
  const directory = t.testdir({})

  async function check(database: object, world: ScenarioName | null, ...argv: string[]) {
    const cloudRun = world === null ? null : await startCloudRun({ world: loadWorld(readScenario(world).patch) })
    const file = join(directory, 'driftwatch.yaml')
    const stack = {
      name: 'runtime',
      project: 'openagentsgemini',
      region: 'us-central1',
      service: { name: 'runtime' },
      job: { name: 'runtime-migrate', command: ['runtime-migrate'] },
    }
    writeFileSync(file, JSON.stringify({ timeout: '3s', stacks: [{ ...stack, database: { url, ...database } }] }))
    const out = { stdout: '', stderr: '' }
    const stream = (name: keyof typeof out) => ({
      write(text: string) {
        out[name] += text
      },
    })
    const code = await runCli(['check', '--config', file, '--format', 'json', ...argv], {
      stdout: stream('stdout'),
      stderr: stream('stderr'),
      variables: { CLOUD_RUN_EMULATOR_HOST: cloudRun?.host ?? nobodyListens },
      clock: systemClock,
      nodeVersion: process.version,
      signal: new AbortController().signal,
    })
    await cloudRun?.close()
    const checks = (JSON.parse(out.stdout) as Report).stacks.flatMap(stack => stack.checks)
    return { code, of: (kind: string) => checks.find(each => each.check === kind) }
  }

  t.test('schema is pending while a migration runs, and judged even if Cloud Run does not respond', async t => {
    const missing = { schemas: { runtime: { relations: ['events', 'sync_stream_events'] } } }
    const there = { schemas: { runtime: { relations: ['events'] } } }
    const only = ['--only', 'schema', '--only', 'migration-execution']
    const running = await check(missing, 'migration-running', ...only)
    t.match(running.of('schema'), {
      status: 'pending',
      differences: [{ path: 'schemas.runtime.relations.sync_stream_events' }],
    })
    t.match(running.of('migration-execution'), { status: 'pending' })
    t.equal(running.code, 3)
    t.match((await check(missing, 'healthy', ...only)).of('schema'), { status: 'drifted' })
    const away = await check(missing, null, ...only)
    t.match(away.of('migration-execution'), { status: 'unknown' })
    t.match(away.of('schema'), { status: 'drifted', error: null })
    t.match(await check(there, null, '--only', 'schema'), { code: 0 })
  })

  t.test('schema is unknown without access to the ledger', async t => {
    const ledger = { table: 'runtime.versions', versionColumn: 'version', expected: ['1', '2', '3'] }
    const observe = async () => (await check({ ledger }, null, '--only', 'schema')).of('schema')
    t.match(await observe(), {
      status: 'unknown',
      error: { code: 'PERMISSION_DENIED', message: /ledger runtime\.versions/ },
    })
    await server.sql(
      'app',
      'GRANT USAGE ON SCHEMA runtime TO monitor; GRANT SELECT ON runtime.versions, runtime."odd.one" TO monitor',
    )
    t.match(await observe(), { status: 'drifted', differences: [{ path: 'ledger."3"', kind: 'missing' }] })
  })

  t.test('a ledger may have any name, and an invalid ledger is an error', async t => {
    const reader = createPostgresReader({ url, statementTimeoutMs: 2000, lockTimeoutMs: 500 })
    t.teardown(() => reader.close())
    const read = (table: string, versionColumn: string) =>
      reader.read(startDeadline(systemClock, 5000), session =>
        readLedger(session, { table, versionColumn, expected: [] }, 500),
      )
    t.strictSame(await read('runtime.versions', 'version'), { outcome: 'read', versions: ['1', '2'] })
    t.strictSame(await read('runtime.odd.one', 'v 1'), { outcome: 'read', versions: [] })
    for (const [table, column] of [
      ['runtime.nothing', 'version'],
      ['nowhere.versions', 'version'],
      ['runtime.versions"; DROP TABLE runtime.events; --', 'version'],
    ] as const)
      t.strictSame(await read(table, column), { outcome: 'missing' }, `${table} ${column}`)
    t.match(await read('runtime.events', 'id'), { outcome: 'failed', reason: { code: 'PERMISSION_DENIED' } })
    t.strictSame(
      await read('runtime.versions', 'version'),
      { outcome: 'read', versions: ['1', '2'] },
      'the connection lives',
    )
    t.match(
      await read('runtime.versions', 'vesion'),
      {
        outcome: 'failed',
        reason: { code: 'NOT_FOUND', message: 'ledger runtime.versions has no column vesion (columns: version)' },
      },
      'a misspelt column is an error, not a missing migration',
    )
    t.match(await read('runtime.versions', 'ctid'), { outcome: 'failed', reason: { code: 'NOT_FOUND' } })
    await server.sql('app', 'ALTER TABLE runtime.versions ADD COLUMN gone int; ALTER TABLE runtime.versions DROP gone')
    t.match(await read('runtime.versions', 'gone'), { outcome: 'failed', reason: { code: 'NOT_FOUND' } })
    await server.sql('app', 'ALTER TABLE runtime.versions ENABLE ROW LEVEL SECURITY')
    t.match(
      await read('runtime.versions', 'version'),
      { outcome: 'failed', reason: { code: 'PERMISSION_DENIED', message: /row-level security/ } },
      'hidden rows are not reported as missing migrations',
    )
    await server.sql('app', 'ALTER TABLE runtime.versions DISABLE ROW LEVEL SECURITY')
    await server.sql('app', 'INSERT INTO runtime.versions SELECT generate_series(10, 10020)')
    t.match(await read('runtime.versions', 'version'), {
      outcome: 'failed',
      reason: { message: /more than 10000 versions/ },
    })
    const long = async (versions: string) => {
      await server.sql('app', `DROP TABLE IF EXISTS runtime.long; CREATE TABLE runtime.long AS ${versions}`)
      await server.sql('app', 'GRANT SELECT ON runtime.long TO monitor')
      return read('runtime.long', 'version')
    }
    t.match(await long("SELECT repeat('é', 256) AS version"), { outcome: 'read', versions: ['é'.repeat(256)] })
    t.match(
      await long("SELECT repeat('é', 257) AS version"),
      { outcome: 'failed', reason: { code: 'UNRECOGNIZED_VALUE', message: /a version longer than 256 characters$/ } },
      'a truncated version is not reported as another version',
    )
    t.match(
      await long("SELECT repeat('x', 20000000) AS version"),
      { outcome: 'failed', reason: { message: /256 characters/ } },
      'and one of 20 MB does not end the connection',
    )
    t.match(await long("SELECT n || repeat('𝟘', 250) AS version FROM generate_series(1, 10000) n"), {
      outcome: 'failed',
      reason: { code: 'UNRECOGNIZED_VALUE', message: /versions of more than 2097152 bytes in total$/ },
    })
    await server.sql('app', 'DROP TABLE runtime.long')
  })

  t.test('an unreadable ledger does not affect role-grants', async t => {
    const database = {
      ledger: { table: 'runtime.versions', versionColumn: 'version', expected: ['1', '2'] },
      schemas: { runtime: { relations: ['events', 'gone'] } },
      trustedRoles: ['postgres', 'owner', 'monitor'],
    }
    const observe = async () => {
      const { of } = await check(database, null, '--only', 'schema', '--only', 'role-grants')
      return { grants: of('role-grants'), schema: of('schema') }
    }
    const blind = (code: string, message: RegExp) => ({
      grants: { status: 'in_sync', error: null },
      schema: {
        status: 'drifted',
        differences: [{ path: 'schemas.runtime.relations.gone' }],
        error: { code, message },
      },
    })
    const holder = new pg.Client(server.url('postgres', 'app'))
    await holder.connect()
    t.teardown(() => holder.end())
    await holder.query('BEGIN; LOCK TABLE runtime.versions IN ACCESS EXCLUSIVE MODE')
    t.match(await observe(), blind('DEADLINE_EXCEEDED', /ledger runtime\.versions: .*another session holds a lock/))
    await holder.query('ROLLBACK')
    await server.sql(
      'app',
      `ALTER TABLE runtime.versions RENAME TO kept;
       CREATE VIEW runtime.versions AS SELECT 1 AS version FROM (SELECT pg_sleep(60)) slow;
       GRANT SELECT ON runtime.versions TO monitor`,
    )
    t.match(await observe(), blind('DEADLINE_EXCEEDED', /ledger runtime\.versions: .*the query exceeded the timeout/))
    await server.sql(
      'app',
      'CREATE OR REPLACE VIEW runtime.versions AS SELECT 1 / (random() * 0)::int AS version; GRANT SELECT ON runtime.versions TO monitor',
    )
    t.match(await observe(), blind('INVALID_ARGUMENT', /division by zero/))
    await server.sql('app', 'DROP VIEW runtime.versions; ALTER TABLE runtime.kept RENAME TO versions')
  })

  t.test('an unrecognized privilege makes role-grants unknown and does not affect schema', async t => {
    await server.sql('app', 'DELETE FROM runtime.versions WHERE version > 2')
    const { hostname, port } = new URL(url)
    const newer = createServer(client => {
      const database = connect(Number(port), hostname).on('error', () => client.destroy())
      client.on('error', () => database.destroy()).pipe(database)
      // Simulates a server with a privilege `q`, which the monitor has on the schema.
      database.on('data', bytes =>
        client.write(bytes.toString('latin1').replaceAll('monitor=U/', 'monitor=q/'), 'latin1'),
      )
      database.on('end', () => client.end())
    })
    await once(newer.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => void newer.close())
    const database = {
      url: url.replace(`:${port}/`, `:${(newer.address() as AddressInfo).port}/`),
      ledger: { table: 'runtime.versions', versionColumn: 'version', expected: ['1', '2'] },
      schemas: { runtime: { relations: ['events'] } },
      trustedRoles: ['postgres', 'owner', 'monitor'],
    }
    const only = ['--only', 'schema', '--only', 'role-grants']
    const { of } = await check(database, null, ...only)
    t.match(of('schema'), { status: 'in_sync', error: null })
    t.match(of('role-grants'), {
      status: 'unknown',
      differences: [],
      fix: null,
      error: {
        code: 'UNRECOGNIZED_VALUE',
        message: /privilege "q", which this version of Driftwatch does not recognize/,
      },
    })
    const missing = await check({ ...database, schemas: { runtime: { relations: ['gone'] } } }, null, ...only)
    t.match(missing.of('schema'), { status: 'drifted', differences: [{ path: 'schemas.runtime.relations.gone' }] })
  })

  t.test('the objects of an extension are not drift', async t => {
    const database = {
      roles: { owner: {}, monitor: { login: true } },
      trustedRoles: ['postgres'],
      schemas: {
        runtime: {
          owner: 'owner',
          grants: { monitor: { schema: ['USAGE'], tables: { versions: ['SELECT'], 'odd.one': ['SELECT'] } } },
        },
      },
    }
    const observe = () => check(database, null, '--only', 'role-grants')
    t.match(await observe(), { code: 0 })
    await server.sql(
      'app',
      'CREATE EXTENSION pg_stat_statements SCHEMA runtime; CREATE EXTENSION pgcrypto SCHEMA runtime',
    )
    const [row] = await server.sql('app', `SELECT count(*) FROM pg_proc WHERE pronamespace = 'runtime'::regnamespace`)
    t.ok(Number(row?.[0]) > 10, 'functions of others, open to PUBLIC')
    const { code, of } = await observe()
    t.equal(code, 0, JSON.stringify(of('role-grants')?.differences))
    await server.sql('app', "CREATE FUNCTION runtime.own() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    t.match(await observe(), { code: 2 })
  })
})
