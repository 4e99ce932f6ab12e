import fc from 'fast-check'
import pg from 'pg'
import type { Test } from 'tap'
import type { GrantsPolicy } from '../../src/grants/model/policy.ts'
import { benign, drifts } from './grant-drifts.ts'
import { type GovernedDatabase, govern, rolesSql, schemasSql, policy as standard } from './grants-world.ts'
import { installedMajors, type PostgresServer, startPostgres } from './postgres-server.ts'
import { aclChange, roleChange } from './random-grants.ts'

/** Every kind of drift, and random changes, on one version of the server. The plan fixes each of them. */
export function testRoleGrants(t: Test, major: number): void {
  if (!installedMajors.includes(major)) {
    t.pass(`PostgreSQL ${major} is not installed`, { skip: true })
    return
  }
  t.test(`grants on PostgreSQL ${major}`, async t => {
    const server = await startPostgres(major)
    t.teardown(() => server.stop())
    await server.sql('postgres', rolesSql)
    await server.sql('postgres', 'CREATE DATABASE base')
    await server.sql('base', schemasSql)
    const database = govern(server, 'base')
    t.teardown(() => database.close())

    t.test('is in sync at first', async t => {
      t.same(await database.judge(), { drift: [], plan: '', impossible: [] })
    })

    for (const { title, sql, lines, cleanup, since = 14, until = major, policy } of drifts) {
      if (major < since || major > until) continue
      t.test(`finds and fixes ${title}`, async t => {
        await server.sql('base', sql)
        const drifted = await database.judge(policy)
        for (const line of lines)
          t.ok(
            drifted.drift.some(difference => line.test(difference)),
            `${line}`,
            { found: drifted.drift },
          )
        t.same(drifted.impossible, [])
        await server.sql('base', drifted.plan)
        t.same(await database.judge(policy), { drift: [], plan: '', impossible: [] }, 'in sync after the plan', {
          plan: drifted.plan,
        })
        if (cleanup) await server.sql('base', cleanup)
        if (policy || cleanup) t.same((await database.judge()).drift, [], 'no drift remains')
      })
    }

    for (const { title, sql, cleanup, since = 14 } of benign) {
      if (major < since) continue
      t.test(`ignores ${title}`, async t => {
        await server.sql('base', sql)
        t.same(await database.judge(), { drift: [], plan: '', impossible: [] })
        await server.sql('base', cleanup)
      })
    }

    t.test('fixes any changes of a superuser', async t => {
      const changes = fc.array(fc.oneof({ weight: 3, arbitrary: aclChange }, roleChange), { maxLength: 14 })
      const apply = (statements: readonly string[][]) => attempt(server, 'base', 'postgres', statements)
      await assertFixed(t, changes, async list => {
        await apply(list.map(one => [...one]))
        const { plan, impossible, drift } = await database.judge()
        if (impossible.length > 0) throw new Error(`impossible: ${impossible.join()}`)
        await server.sql('base', plan)
        return { before: drift, plan, after: await database.judge() }
      })
    })
  })

  t.test(`grants on a managed PostgreSQL ${major}, for an admin without SUPERUSER`, async t => {
    const server = await startPostgres(major)
    t.teardown(() => server.stop())
    await server.sql('postgres', 'CREATE ROLE admin LOGIN CREATEROLE CREATEDB; CREATE ROLE monitor LOGIN')
    await server.sql('postgres', 'CREATE DATABASE managed OWNER admin')
    const policy: GrantsPolicy = {
      ...standard,
      trustedRoles: ['postgres', 'admin', 'platform_admin'],
      schemas: { ...standard.schemas, control: { ...standard.schemas?.control, owner: 'oa_control_rw' } },
    }
    const database = govern(server, 'managed', policy)
    t.teardown(() => database.close())
    const asAdmin = (sql: string) => server.sql('managed', sql, 'admin')

    t.test('creates everything from nothing', async t => {
      await asAdmin(
        'CREATE ROLE app LOGIN; CREATE ROLE mallory; CREATE ROLE platform_admin; CREATE ROLE team; CREATE ROLE team2; CREATE ROLE team3',
      )
      const { plan, impossible } = await database.judge(policy, 'admin')
      t.same(impossible, [])
      await asAdmin(plan)
      t.same(await database.judge(policy, 'admin'), { drift: [], plan: '', impossible: [] })
      t.same(await server.sql('managed', heldByAdmin(major)), [], 'temporary memberships have ended')
      await server.sql('managed', managedObjects)
    })

    t.test('fixes any changes of such an admin', async t => {
      const changes = fc.tuple(fc.array(aclChange, { maxLength: 10 }), fc.array(roleChange, { maxLength: 5 }))
      await assertFixed(t, changes, async ([acls, roles]) => {
        await attempt(
          server,
          'managed',
          'postgres',
          acls.map(one => [...one]),
        )
        await attempt(
          server,
          'managed',
          'admin',
          roles.map(one => [...one]),
        )
        const { plan, impossible, drift } = await database.judge(policy, 'admin')
        if (impossible.length > 0) throw new Error(`impossible: ${impossible.join()}`)
        await asAdmin(plan)
        return { before: drift, plan, after: await database.judge(policy, 'admin') }
      })
      t.same(await server.sql('managed', heldByAdmin(major)), [], 'temporary memberships have ended')
    })

    t.test('changes the owner of the database', async t => {
      for (const owner of ['oa_control_rw', 'mallory']) {
        await server.sql('managed', `ALTER DATABASE managed OWNER TO ${owner}; ALTER SCHEMA runtime OWNER TO team`)
        const { plan, impossible } = await database.judge(policy, 'admin')
        t.same(impossible, [])
        await asAdmin(plan)
        t.same(await database.judge(policy, 'admin'), { drift: [], plan: '', impossible: [] }, owner, { plan })
      }
      await server.sql('managed', 'ALTER DATABASE managed OWNER TO oa_control_rw; ALTER ROLE admin NOCREATEDB')
      t.match((await database.judge(policy, 'admin')).impossible, [/CREATE.* on database.*: admin has no CREATEDB$/])
      await server.sql('managed', 'ALTER DATABASE managed OWNER TO admin; ALTER ROLE admin CREATEDB')
    })

    t.test('refuses to move an object to an owner without CREATE on the schema', async t => {
      await server.sql('managed', 'ALTER SCHEMA runtime OWNER TO postgres; GRANT USAGE ON SCHEMA runtime TO admin')
      await server.sql('managed', 'ALTER TABLE runtime.accounts OWNER TO team')
      const { plan, impossible } = await database.judge(policy, 'admin')
      const reason = /team owns table runtime\.accounts: oa_runtime_owner has no CREATE on schema runtime$/
      t.ok(
        impossible.some(line => reason.test(line)),
        'with the reason',
        { impossible },
      )
      await asAdmin(plan)
      await server.sql('managed', 'ALTER SCHEMA runtime OWNER TO oa_runtime_owner')
      await asAdmin((await database.judge(policy, 'admin')).plan)
      t.same(await database.judge(policy, 'admin'), { drift: [], plan: '', impossible: [] })
    })

    t.test('reports what such an admin cannot do, and does the rest', async t => {
      await server.sql('managed', 'CREATE TABLE runtime.stray (id int); GRANT SELECT ON runtime.accounts TO mallory')
      await server.sql('managed', 'ALTER ROLE oa_control_rw SUPERUSER; GRANT oa_runtime_rw TO postgres')
      const { plan, impossible } = await database.judge(policy, 'admin')
      t.match(impossible, [
        /oa_control_rw\.superuser.*only a superuser/,
        /postgres owns table runtime\.stray.*postgres/,
      ])
      await asAdmin(plan)
      const { drift } = await database.judge(policy, 'admin')
      t.notOk(
        drift.some(line => line.includes('mallory')),
        'the rest is done',
        { drift },
      )
    })
  })
}

const managedObjects = `
  SET ROLE oa_runtime_owner;
  CREATE TABLE runtime.sync_events (id serial, topic text); CREATE TABLE runtime.sync_topics (id int);
  CREATE TABLE runtime.accounts (id int); CREATE SEQUENCE runtime.counter;
  CREATE FUNCTION runtime.area(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION runtime.area(int, int) RETURNS int LANGUAGE sql AS 'SELECT 1';
  SET ROLE oa_control_rw; CREATE TABLE control.leases (id int)`

/** From 16 on, the creator of a role keeps the ADMIN option on it, and nothing else. */
const heldByAdmin = (major: number) =>
  `SELECT roleid::regrole::text FROM pg_auth_members WHERE member = 'admin'::regrole
   AND ${major >= 16 ? '(inherit_option OR set_option)' : 'true'}`

/** Runs each change as a user. Errors are ignored. */
async function attempt(
  server: PostgresServer,
  database: string,
  user: string,
  changes: readonly string[][],
): Promise<void> {
  const client = new pg.Client(server.url(user, database))
  await client.connect()
  for (const statements of changes) {
    for (const statement of statements) await client.query(statement).catch(() => undefined)
  }
  await client.end()
}

type Fixed = { before: readonly string[]; plan: string; after: Awaited<ReturnType<GovernedDatabase['judge']>> }

async function assertFixed<Change>(
  t: Test,
  changes: fc.Arbitrary<Change>,
  run: (change: Change) => Promise<Fixed>,
): Promise<void> {
  let drifted = 0
  const property = fc.asyncProperty(changes, async change => {
    const { before, plan, after } = await run(change)
    if (before.length > 0) drifted += 1
    if (after.drift.length + after.plan.length + after.impossible.length > 0)
      throw new Error(`still drifted: ${JSON.stringify(after, null, 1)} after ${plan}`)
  })
  await t.resolves(fc.assert(property, { numRuns: 12, endOnFailure: true }))
  t.ok(drifted > 0, 'some changes were drift')
}
