import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import pg from 'pg'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { runCli } from '../../../src/cli/cli.ts'
import { systemClock } from '../../../src/clock.ts'
import type { GrantsPolicy } from '../../../src/grants/model/policy.ts'
import type { Report } from '../../../src/report/report.ts'
import { drifts } from '../../helpers/grant-drifts.ts'
import { policy, rolesSql, schemasSql } from '../../helpers/grants-world.ts'
import { installedMajors, type PostgresServer, startPostgres } from '../../helpers/postgres-server.ts'

const secret = 'hunter2'
const closedPort = '127.0.0.1:1'

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

interface RunOptions {
  readonly variables?: Record<string, string>
  /** The input at a terminal; without it, stdin is not a terminal. */
  readonly typed?: string | PassThrough
  /** Called with all of stderr so far, after each write. */
  readonly onStderr?: (text: string) => void
}

/** A configuration with one stack that has a database. */
function configOf(database: object, stack: object = {}): string {
  const runtime = { name: 'runtime', project: 'openagentsgemini', region: 'us-central1', service: { name: 'runtime' } }
  return JSON.stringify({ timeout: '5s', stacks: [{ ...runtime, database, ...stack }] })
}

async function run(
  config: string,
  argv: readonly string[],
  { variables = {}, typed, onStderr = () => {} }: RunOptions = {},
): Promise<Ran> {
  const out = { stdout: '', stderr: '' }
  const stream = (name: keyof typeof out) => ({
    write(text: string) {
      out[name] += text
      if (name === 'stderr') onStderr(out.stderr)
    },
  })
  const terminal = typed instanceof PassThrough ? typed : new PassThrough()
  if (typeof typed === 'string') terminal.end(typed)
  const code = await runCli([...argv, '--config', config], {
    stdin: Object.assign(terminal, { isTTY: typed !== undefined }),
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    variables: { CLOUD_RUN_EMULATOR_HOST: closedPort, ...variables },
    clock: systemClock,
    nodeVersion: process.version,
    signal: new AbortController().signal,
  })
  return { code, ...out }
}

const major = installedMajors.includes(16) ? 16 : (installedMajors.at(-1) ?? 16)

t.test('the grants of a database', async t => {
  const server = await startPostgres(major)
  t.teardown(() => server.stop())
  await server.sql('postgres', `${rolesSql}; ALTER ROLE monitor PASSWORD '${secret}'`)
  await server.sql('postgres', 'CREATE DATABASE app')
  await server.sql('app', schemasSql)
  const directory = t.testdir({})
  const write = (name: string, database: object, stack: object = {}) => {
    const file = join(directory, name)
    writeFileSync(file, configOf(database, stack))
    return file
  }
  const url = server.url('monitor', 'app', secret)
  const config = write('driftwatch.yaml', { url, ...policy })
  const admin = { DB_ADMIN_URL: server.url('postgres', 'app', secret) }
  const drift = 'GRANT SELECT ON runtime.accounts TO mallory; GRANT oa_runtime_rw TO team'
  const plan = () => run(config, ['grants', 'plan'])
  const inSync = { code: 0, stdout: '', stderr: 'runtime: in sync: no differences\n' }
  const isUndone = async (t: Test) => t.match(await plan(), { code: 2, stdout: /REVOKE SELECT/ }, 'nothing was changed')
  const heal = async () => {
    await server.sql('app', (await plan()).stdout || 'SELECT 1')
  }

  t.test(
    'plan prints the SQL that fixes the differences, as a role without privileges, and nothing if in sync',
    async t => {
      t.strictSame(await plan(), inSync)
      await server.sql('app', drift)
      const { code, stdout, stderr } = await plan()
      t.equal(code, 2)
      t.equal(stderr, 'runtime: 2 statements to run\n')
      t.match(
        stdout,
        /^BEGIN;\n.*\n-- unexpected: team is a member of oa_runtime_rw.*\nREVOKE "oa_runtime_rw" FROM "team"/s,
      )
      t.match(stdout, '-- unexpected: mallory has SELECT on table runtime.accounts (via direct grant)\nREVOKE SELECT')
      t.match(stdout, /COMMIT;\n$/)
      const { stdout: report, code: gate } = await run(config, ['check', '--only', 'role-grants'])
      t.equal(gate, 2)
      t.match(report, 'driftwatch grants apply --stack runtime')
      await server.sql('app', stdout)
      t.strictSame(await plan(), inSync)
    },
  )

  t.test('plan depends on the role that will run it', async t => {
    await server.sql('postgres', 'CREATE ROLE boss LOGIN CREATEROLE')
    await server.sql('app', 'GRANT SELECT ON runtime.accounts TO mallory')
    const without = await run(config, ['grants', 'plan'])
    t.notMatch(without.stdout, 'cannot be done')
    for (const options of [
      { args: ['--as', 'boss'] },
      { args: [], variables: { DB_ADMIN_URL: server.url('boss', 'app') } },
    ]) {
      const { code, stdout, stderr } = await run(config, ['grants', 'plan', ...options.args], options)
      t.equal(code, 2)
      if (major >= 16)
        t.match(stdout, /^-- cannot be done: .*mallory.*: .*boss has no ADMIN option on oa_runtime_owner/)
      if (major >= 16) t.equal(stderr, 'runtime: 0 statements to run, and 1 difference that cannot be fixed\n')
    }
    t.match(await run(config, ['grants', 'plan', '--as', 'missing']), { code: 1, stderr: /no role missing/ })
    await heal()
    await server.sql('postgres', 'DROP ROLE boss')
  })

  t.test('apply prints the plan, asks, runs it and checks again', async t => {
    await server.sql('app', drift)
    const asked = await run(config, ['grants', 'apply'], { variables: admin, typed: 'yes\n' })
    t.equal(asked.code, 0, asked.stderr)
    t.equal(asked.stdout, '')
    t.match(asked.stderr, /REVOKE SELECT ON TABLE "runtime"\."accounts" FROM "mallory".*Continue\? \[y\/N\] /s)
    t.match(
      asked.stderr,
      /1\. apply {2}run 2 statements in one transaction on database app at .* as postgres \(superuser\)/,
    )
    t.match(asked.stderr, 'apply: 2 statements, committed\ncheck: in sync\n')
    t.strictSame(await plan(), inSync)
    const again = await run(config, ['grants', 'apply', '--yes'], { variables: admin })
    t.match(again, { code: 0, stderr: 'runtime: in sync: no differences\ncheck: in sync\n' })
  })

  t.test('apply reads the URL from a file, and --yes skips the confirmation', async t => {
    await server.sql('app', drift)
    const file = join(t.testdir({ url: `${admin.DB_ADMIN_URL}\n` }), 'url')
    const { code, stderr } = await run(config, ['grants', 'apply', '--yes', '--admin-url-file', file])
    t.equal(code, 0, stderr)
    t.notMatch(stderr, 'Continue?')
    t.strictSame(await plan(), inSync)
  })

  t.test('apply changes nothing without confirmation', async t => {
    await server.sql('app', drift)
    const apply = ['grants', 'apply']
    t.match(await run(config, apply, { variables: admin }), { code: 1, stderr: /needs confirmation.*--yes/ })
    await isUndone(t)
    for (const typed of ['', '\n', 'no\n', 'yeah\n']) {
      const { code, stderr } = await run(config, apply, { variables: admin, typed })
      t.equal(code, 1, JSON.stringify(typed))
      t.match(stderr, 'not confirmed: nothing was changed')
    }
    const dry = await run(config, [...apply, '--dry-run'], { variables: admin })
    t.match(dry, { code: 0, stdout: /REVOKE SELECT.*\(dry run, nothing is changed\)/s, stderr: '' })
    await isUndone(t)
    const asked = (variables: Record<string, string>) =>
      run(config, [...apply, '--yes'], { variables: { ...admin, ...variables } })
    t.strictSame(await asked({ DRY_RUN: '1', RUNTIME_RW_ROLE: 'oa_runtime_rw' }), dry, 'the same as --dry-run')
    t.match(await asked({ DRY_RUN: 'yes' }), { code: 1, stderr: /invalid DRY_RUN "yes": expected 1 or 0/ })
    t.match(await asked({ CONTROL_RW_ROLE: 'other' }), {
      code: 1,
      stderr: /CONTROL_RW_ROLE is other, but stack runtime has no such role/,
    })
    t.match(await asked({ DB_URL: 'postgres://me@elsewhere/app' }), {
      code: 1,
      stderr: /DB_URL is not the configured database of/,
    })
    await isUndone(t)
    await heal()
  })

  t.test('apply refuses a URL that is missing, unreadable, invalid, or of another database', async t => {
    await server.sql('app', drift)
    await server.sql('postgres', 'CREATE DATABASE other')
    const apply = (DB_ADMIN_URL?: string, ...args: string[]) =>
      run(config, ['grants', 'apply', '--yes', ...args], { variables: { ...(DB_ADMIN_URL && { DB_ADMIN_URL }) } })
    t.match(await apply(), { code: 1, stderr: /Set DB_ADMIN_URL/ })
    t.match(await apply(undefined, '--admin-url-file', '/nowhere/url'), {
      code: 1,
      stderr: /cannot read \/nowhere\/url: ENOENT/,
    })
    t.match(await apply(`mysql://me:${secret}@db/app`), { code: 1, stderr: /invalid database URL: expected postgres:/ })
    t.match(await apply(server.url('postgres', 'other', secret)), { code: 1, stderr: /points to another database/ })
    t.match(await apply(server.url('postgres', 'nowhere', secret)), { code: 1, stderr: /nowhere/ })
    t.match(
      await apply(server.url('mallory', 'app')),
      { code: 2, stderr: /cannot be done/ },
      'a role without privileges',
    )
    await isUndone(t)
    await heal()
  })

  t.test('apply distinguishes two servers with identical OIDs', async t => {
    await server.sql('app', drift)
    const identify = `SELECT oid::int, (SELECT system_identifier::text FROM pg_control_system()) FROM pg_database WHERE datname = 'app'`
    const [own] = await server.sql('app', identify)
    const twin = await startPostgres(major)
    t.teardown(() => twin.stop())
    await twin.sql('postgres', rolesSql)
    await twin.sql('postgres', 'CREATE DATABASE app')
    await twin.sql('app', `${schemasSql}; ${drift}`)
    t.same((await twin.sql('app', identify))[0], own, 'a copy: the same OID and system identifier')
    const DB_ADMIN_URL = twin.url('postgres', 'app')
    t.match(await run(config, ['grants', 'apply', '--yes'], { variables: { DB_ADMIN_URL } }), {
      code: 1,
      stderr: /points to another database .*nothing was changed/,
    })
    t.match(await twin.sql('app', `SELECT has_table_privilege('mallory', 'runtime.accounts', 'SELECT')`), [[true]])
    await isUndone(t)
    await server.sql('app', 'REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC')
    const closed = await run(config, ['grants', 'apply', '--yes'], { variables: admin })
    t.equal(closed.code, 0, closed.stderr)
    await server.sql('app', 'GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC')
  })

  t.test('apply commits if only the announced differences remain, and rolls back otherwise', async t => {
    const boss = 'CREATE ROLE boss LOGIN CREATEROLE; GRANT oa_runtime_owner, oa_runtime_rw TO boss WITH ADMIN OPTION'
    await server.sql('app', `${boss}; GRANT SELECT ON runtime.accounts TO mallory; ALTER ROLE oa_control_rw SUPERUSER`)
    const trusting = write('trusting.yaml', { url, ...policy, trustedRoles: [...(policy.trustedRoles ?? []), 'boss'] })
    const apply = () =>
      run(trusting, ['grants', 'apply', '--yes'], { variables: { DB_ADMIN_URL: server.url('boss', 'app') } })
    const unhook = 'DROP EVENT TRIGGER hook; DROP FUNCTION other.hook()'
    await server.sql(
      'app',
      `CREATE FUNCTION other.hook() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS
         $$ BEGIN GRANT UPDATE ON runtime.accounts TO mallory; END $$;
       CREATE EVENT TRIGGER hook ON ddl_command_end WHEN TAG IN ('REVOKE') EXECUTE FUNCTION other.hook()`,
    )
    const surprised = await apply()
    t.match(surprised, {
      code: 2,
      stderr:
        /rolled back: they succeeded, but these differences would remain:\n {2}unexpected: mallory has UPDATE on table/,
    })
    t.notMatch(surprised.stderr, /would remain:\n.*oa_control_rw\.superuser/s, 'the plan announced it')
    await server.sql('app', unhook)
    await isUndone(t)

    const known = await apply()
    t.match(known, {
      code: 2,
      stdout: 'remaining: changed: roles.oa_control_rw.superuser: expected false, actual true\n',
    })
    t.match(known.stderr, /cannot be done: changed: roles\.oa_control_rw\.superuser.*: only a superuser/)
    t.match(known.stderr, /apply: \d+ statements, committed\ncheck: 1 difference remaining\n/)
    t.strictSame(
      await server.sql('app', `SELECT has_table_privilege('mallory', 'runtime.accounts', 'SELECT')`),
      [[false]],
      'the rest is done',
    )
    await server.sql('app', 'ALTER ROLE oa_control_rw NOSUPERUSER; DROP ROLE boss')
    t.strictSame(await plan(), inSync)
  })

  t.test('apply runs exactly the printed plan, or nothing', async t => {
    await server.sql('app', drift)
    const typed = new PassThrough()
    const changing = await run(config, ['grants', 'apply'], {
      variables: admin,
      typed,
      onStderr(text) {
        if (!text.endsWith('[y/N] ')) return
        void server.sql('app', 'GRANT SELECT ON control.leases TO mallory').then(() => typed.end('y\n'))
      },
    })
    t.match(changing, { code: 1, stderr: /the database changed after the plan was printed/ })
    const holder = new pg.Client(admin.DB_ADMIN_URL)
    await holder.connect()
    const at = /advisoryLock = '(\d+)'/.exec(readFileSync('src/operate/grants/grants-apply.ts', 'utf8'))?.[1]
    await holder.query(`SELECT pg_advisory_lock(${at})`)
    const barred = await run(config, ['grants', 'apply', '--yes'], { variables: admin })
    t.match(barred, { code: 1, stderr: /another `grants apply` is running/ })
    await holder.end()
    await isUndone(t)
    await heal()
  })

  t.test('apply rolls back if a statement fails or a difference would remain', async t => {
    await server.sql('app', drift)
    const hook = (event: string, tag: string, body: string) => `
      CREATE FUNCTION other.hook() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN ${body}; END $$;
      CREATE EVENT TRIGGER hook ON ${event} WHEN TAG IN ('${tag}') EXECUTE FUNCTION other.hook()`
    const unhook = 'DROP EVENT TRIGGER hook; DROP FUNCTION other.hook()'
    const apply = () => run(config, ['grants', 'apply', '--yes'], { variables: admin })

    await server.sql('app', hook('ddl_command_start', 'REVOKE', `RAISE EXCEPTION 'not today'`))
    t.match(await apply(), {
      code: 2,
      stderr: /a statement failed, and nothing was changed\n {2}REVOKE .*\n.*not today/,
    })
    await server.sql('app', unhook)
    await isUndone(t)

    await server.sql('app', hook('ddl_command_end', 'REVOKE', 'GRANT UPDATE ON runtime.accounts TO mallory'))
    t.match(await apply(), {
      code: 2,
      stderr: /rolled back: .* would remain:\n.*mallory has UPDATE on table runtime\.accounts/,
    })
    await server.sql('app', unhook)
    await isUndone(t)
    await heal()
  })

  t.test('apply reports an uncertain outcome if the response to COMMIT is lost', async t => {
    await server.sql('app', drift)
    const proxy = await startProxy(server, bytes => bytes.includes('COMMIT'))
    t.teardown(() => proxy.close())
    const DB_ADMIN_URL = `postgres://postgres@127.0.0.1:${proxy.port}/app?sslmode=disable`
    const { code, stderr } = await run(config, ['grants', 'apply', '--yes'], { variables: { DB_ADMIN_URL } })
    t.equal(code, 1)
    t.match(stderr, /no response to COMMIT .*\. Run "driftwatch grants plan --stack \S+ --config [^"]+"/)
    await heal()
  })

  t.test('a failed connection is reported without the password', async t => {
    const away = write('away.yaml', { url: `postgres://monitor:${secret}@127.0.0.1:1/app`, ...policy })
    for (const command of ['plan', 'snapshot', 'apply']) {
      const { code, stdout, stderr } = await run(away, ['grants', command], { variables: admin })
      t.equal(code, 1)
      t.equal(stdout, '')
      t.match(stderr, /ECONNREFUSED/)
      t.notMatch(stderr, secret)
    }
    await server.sql('app', drift)
    const { stdout, stderr } = await run(config, ['grants', 'apply', '--yes'], { variables: admin })
    t.notMatch(stdout + stderr, secret)
  })

  t.test('--stack is required if several stacks have a database', async t => {
    const stack = { project: 'p1', region: 'r1', service: { name: 's' } }
    const stacks = ['one', 'two', 'bare'].map(name => ({
      ...stack,
      name,
      ...(name !== 'bare' && { database: { url } }),
    }))
    const several = join(directory, 'several.yaml')
    writeFileSync(several, JSON.stringify({ stacks }))
    t.match(await run(several, ['grants', 'plan']), {
      code: 1,
      stderr: /--stack is required\. Stacks with a `database\.url`: "one", "two"\./,
    })
    t.match(await run(several, ['grants', 'snapshot', '--stack', 'two']), { code: 0, stdout: /^roles:/ })
    t.match(await run(several, ['grants', 'plan', '--stack', 'two']), { code: 1, stderr: /stack two has no policy/ })
    for (const name of ['bare', 'missing'])
      t.match(await run(several, ['grants', 'plan', '--stack', name]), {
        code: 1,
        stderr: /stacks that have one: "one", "two"/,
      })
  })

  t.test('the command prints its usage', async t => {
    t.match(await run(config, ['grants']), {
      code: 1,
      stderr: /missing subcommand: expected one of plan, apply, snapshot/,
    })
    t.match(await run(config, ['grants', 'aply']), { code: 1, stderr: /unknown command "grants aply"/ })
    t.match(await run(config, ['grants', '--help']), { code: 0, stdout: /driftwatch grants apply/ })
    for (const name of ['plan', 'apply', 'snapshot'])
      t.match(await run(config, ['grants', name, '--help']), { code: 0, stdout: new RegExp(`grants ${name}`) })
    t.match(await run(config, ['grants', 'plan', '--yes']), { code: 1, stderr: /grants plan: unknown option "--yes"/ })
  })

  /** Takes a snapshot and checks the database against it. */
  async function roundTrip(
    t: Test,
    database: string,
    ...schemas: string[]
  ): Promise<{ taken: Ran; written: GrantsPolicy }> {
    const from = write('from.yaml', { url: server.url('monitor', database, secret) })
    const taken = await run(from, ['grants', 'snapshot', ...schemas.flatMap(name => ['--schema', name])])
    t.equal(taken.code, 0, taken.stderr)
    const written = parse(taken.stdout) as GrantsPolicy
    const to = write('to.yaml', { url: server.url('monitor', database, secret), ...written })
    const { stdout } = await run(to, ['check', '--only', 'role-grants', '--format', 'json'])
    const [check] = (JSON.parse(stdout) as Report).stacks[0]?.checks ?? []
    const unsayable = taken.stdout.split('\n').filter(line => line.startsWith('# cannot be expressed'))
    t.equal(check?.status, unsayable.length === 0 ? 'in_sync' : 'drifted')
    t.equal(check?.differences.length, unsayable.length, 'only what a policy cannot express drifts', {
      policy: taken.stdout,
      found: check?.differences,
    })
    return { taken, written }
  }

  t.test('a snapshot is a policy that matches the database', async t => {
    const { written, taken } = await roundTrip(t, 'app', 'runtime', 'control')
    t.equal(taken.stderr, '')
    t.strictSame(Object.keys(written.schemas ?? {}), ['control', 'runtime'])
    t.match(written, {
      roles: { oa_runtime_owner: { members: ['deploy'] }, oa_runtime_rw: { members: ['app'] } },
      trustedRoles: ['postgres'],
      schemas: {
        control: { owner: 'postgres' },
        runtime: {
          owner: 'oa_runtime_owner',
          grants: {
            oa_runtime_rw: {
              schema: ['USAGE'],
              tables: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
              functions: ['EXECUTE'],
            },
            oa_spacetime_ro: { tables: { sync_events: ['SELECT'], sync_view: ['SELECT'] } },
          },
          defaults: { oa_runtime_rw: { sequences: ['SELECT', 'USAGE'] } },
        },
      },
    })
    t.notOk(written.roles?.mallory, 'a role without grants is not listed')
  })

  t.test('a snapshot lists the grants that a policy cannot express', async t => {
    await server.sql(
      'app',
      'GRANT SELECT (secret) ON runtime.accounts TO mallory; GRANT SELECT ON runtime.accounts TO app WITH GRANT OPTION',
    )
    const { taken } = await roundTrip(t, 'app', 'runtime')
    t.match(taken.stdout, /^# cannot be expressed in a policy and counts as drift: unexpected: .*\n/)
    t.match(taken.stdout, 'mallory has SELECT (secret) on table runtime.accounts')
    t.match(taken.stdout, 'app has grant option for SELECT on table runtime.accounts')
    t.equal(taken.stderr, 'runtime: a policy cannot express 2 grants\n')
    await heal()
    t.match(await run(config, ['grants', 'snapshot', '--schema', 'nowhere']), {
      code: 1,
      stderr: /no schema nowhere: its schemas are control, other, public, runtime/,
    })
  })

  t.test('a snapshot quotes the names of roles and tables', async t => {
    const [holder, member] = [`"- x: "" {} # ü"`, `"\${Y}"`]
    await server.sql('postgres', 'CREATE DATABASE odd')
    await server.sql(
      'odd',
      `CREATE ROLE ${holder}; CREATE ROLE ${member}; CREATE ROLE "null"; GRANT ${holder}, "null" TO ${member};
       CREATE SCHEMA "true"; CREATE TABLE "true"."~: * \\" (id int); CREATE TABLE "true"."12" (id int);
       GRANT SELECT ON "true"."~: * \\" TO ${holder}; GRANT SELECT ON "true"."12" TO "null"`,
    )
    const { taken, written } = await roundTrip(t, 'odd', 'true')
    t.equal(taken.stderr, '')
    t.strictSame(Object.keys(written.roles ?? {}), ['- x: " {} # ü', 'null'])
  })

  t.test('a snapshot of a database in which one role owns everything in schema public', async t => {
    await server.sql('postgres', 'CREATE ROLE solo LOGIN')
    await server.sql('postgres', 'CREATE DATABASE solo OWNER solo')
    await server.sql(
      'solo',
      'ALTER SCHEMA public OWNER TO pg_database_owner; SET ROLE solo; CREATE TABLE public.t (id serial); CREATE VIEW public."a.b*c" AS SELECT 1 AS x; GRANT SELECT ON public.t, public."a.b*c" TO monitor; GRANT INSERT ON public."a.b*c" TO monitor',
    )
    const { taken, written } = await roundTrip(t, 'solo')
    t.equal(taken.stderr, '')
    t.match(written.schemas?.public?.grants?.monitor?.tables, { '*': ['SELECT'], 'a.b\\*c': ['INSERT'] })
  })

  t.test('a snapshot matches a database with many kinds of drift', async t => {
    const sayable = drifts.filter(({ title }) => !/hostile|line ends|superuser|predefined/i.test(title))
    let applied = 0
    for (const { sql, since = 14, until = major, policy: wanted } of sayable) {
      if (since > major || until < major || wanted) continue
      await server.sql('app', sql).catch(() => undefined)
      applied += 1
    }
    t.ok(applied > 40)
    const { taken } = await roundTrip(t, 'app')
    t.match(taken.stderr, /a policy cannot express \d+ grants/)
  })
})

/** Forwards everything to the server until a client sends bytes that match `isLast`; then cuts both connections. */
async function startProxy(server: PostgresServer, isLast: (bytes: Buffer) => boolean) {
  const sockets: Socket[] = []
  const listener = createServer(client => {
    const upstream = connect(server.port, '127.0.0.1')
    sockets.push(client, upstream)
    for (const socket of [client, upstream]) socket.on('error', () => {})
    upstream.pipe(client)
    client.on('data', bytes => {
      // Earlier read-only transactions commit too, and pass.
      if (isLast(bytes) && wrote) {
        client.destroy()
        upstream.destroy()
        return
      }
      if (bytes.includes('advisory')) wrote = true
      upstream.write(bytes)
    })
    client.on('close', () => upstream.end())
  })
  let wrote = false
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    port: address.port,
    close() {
      for (const socket of sockets) socket.destroy()
      listener.close()
    },
  }
}
