import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { runCli } from '../../src/cli/cli.ts'
import { systemClock } from '../../src/clock.ts'
import { parseConfig } from '../../src/config/load.ts'
import { compareGrants } from '../../src/grants/judge/compare.ts'
import { describeDiscrepancy } from '../../src/grants/judge/describe.ts'
import type { Report, ReportedCheck } from '../../src/report/report.ts'
import { drifts } from '../helpers/grant-drifts.ts'
import { govern, policy, rolesSql, schemasSql } from '../helpers/grants-world.ts'
import { installedMajors, startPostgres } from '../helpers/postgres-server.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(`${top}${path}`, 'utf8')
const page = read('docs/checks/role-grants.md')
const shipped = 'deploy/openagents-runtime.yaml'

const major = installedMajors.includes(16) ? 16 : (installedMajors.at(-1) ?? 16)

/** The fenced blocks of one language on a page. */
function blocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, block = '']) => block)
}

/** A finding as a page shows it, with a fixed time. */
function withoutTimes(finding: object): object {
  const time = '2026-11-23T03:00:00.000Z'
  return { ...finding, since: time, observedAt: time, staleAt: '2026-11-23T03:05:00.000Z' }
}

t.test('the policy that the page teaches is the one that ships', async t => {
  const taught = Object.assign({}, ...blocks(page, 'yaml').map(block => parse(block)))
  const { stacks } = parse(read(shipped)) as { stacks: [{ database: { schemas: { runtime: object } } }] }
  const { url: _, ...database } = { url: '', ...stacks[0].database }
  const { relations: __, ...runtime } = { relations: [], ...database.schemas.runtime }
  t.strictSame(taught, { ...database, schemas: { ...database.schemas, runtime } })
  t.ok(parseConfig(read(shipped), shipped, { DB_URL: 'postgres://me@db/x' }))
})

t.test('the pages of the database checks', async t => {
  const server = await startPostgres(major)
  t.teardown(() => server.stop())
  await server.sql('postgres', 'CREATE DATABASE runtime')

  async function run(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const out = { stdout: '', stderr: '' }
    const stream = (name: keyof typeof out) => ({
      write(text: string) {
        out[name] += text
      },
    })
    const code = await runCli(argv, {
      stdout: stream('stdout'),
      stderr: stream('stderr'),
      variables: {
        DRIFTWATCH_CONFIG: `${top}${shipped}`,
        CLOUD_RUN_EMULATOR_HOST: '127.0.0.1:1',
        DB_URL: server.url('driftwatch_monitor', 'runtime'),
        DB_ADMIN_URL: server.url('postgres', 'runtime'),
      },
      clock: systemClock,
      nodeVersion: process.version,
      signal: new AbortController().signal,
    })
    return { code, ...out }
  }

  async function finding(check: string): Promise<ReportedCheck | undefined> {
    const { stdout } = await run('check', '--only', check, '--format', 'json')
    return (JSON.parse(stdout) as Report).stacks[0]?.checks.find(each => each.check === check)
  }

  const inSync = async (t: Test) => t.match(await run('grants', 'plan'), { code: 0, stdout: '' })

  t.test('the script creates the role, even if it is run again, and apply creates the rest', async t => {
    const script = read('deploy/monitor-role.sql')
    for (let times = 0; times < 2; times++) await server.sql('runtime', script)
    const [row] = await server.sql(
      'runtime',
      `SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = 'driftwatch_monitor'`,
    )
    t.strictSame(row, [true, false, false, false, false])
    await server.sql('runtime', 'CREATE SCHEMA control; CREATE TABLE control.leases (id int)')
    t.match(await run('grants', 'apply', '--yes'), { code: 0, stderr: /check: in sync/ })
    const tables = ['sync_stream_events', 'sync_topic_sequences', 'spacetime_projection_checkpoints', 'accounts']
    const create = tables.map(name => `CREATE TABLE runtime.${name} (id int)`).join('; ')
    await server.sql('runtime', `SET ROLE oa_runtime_owner; ${create}`)
    t.match(
      await run('grants', 'plan'),
      { code: 2, stdout: /oa_spacetime_ro has SELECT on 3 tables/ },
      'a pattern has no defaults, as on the page',
    )
    t.match(await run('grants', 'apply', '--yes'), { code: 0 })
    await inSync(t)
  })

  t.test('the example of role-grants equals the output of Driftwatch', async t => {
    const [sql = ''] = blocks(page, 'sql')
    await server.sql('runtime', sql)
    const told = withoutTimes((await finding('role-grants')) ?? {})
    t.equal(blocks(page, 'json')[0], `${JSON.stringify(told, null, 2)}\n`)
    const { stdout } = await run('grants', 'plan')
    t.equal(blocks(page, 'text')[0], stdout)
    await server.sql('runtime', stdout)
    await inSync(t)
  })
})

t.test('the page of role-grants explains every kind of path, and no others', async t => {
  const server = await startPostgres(major)
  t.teardown(() => server.stop())
  await server.sql('postgres', rolesSql)
  await server.sql('postgres', 'CREATE DATABASE base')
  await server.sql('base', schemasSql)
  const database = govern(server, 'base')
  t.teardown(() => database.close())
  const seen = new Set<string>()
  const look = async () => {
    const { discrepancies, context } = compareGrants(policy, await database.catalog())
    for (const found of discrepancies) seen.add(templateOf(describeDiscrepancy(found, context).path))
  }
  for (const { sql, title, cleanup = 'SELECT 1', policy: other, since = 14, until = major } of drifts) {
    if (other || /names with|hostile/.test(title) || since > server.major || until < server.major) continue
    await server.sql('base', sql)
    await look()
    await server.sql('base', (await database.judge()).plan)
    await server.sql('base', cleanup)
  }
  await server.sql('base', 'DROP SCHEMA runtime CASCADE')
  await look()
  const rows = [...page.matchAll(/^\| `([^`]*)` \|/gm)].map(([, path = '']) => path)
  t.strictSame(rows.sort(), [...seen].sort())
})

/** A path without its names. */
function templateOf(path: string): string {
  return path
    .replace(/^(roles)\.[^.]+\.(?!members|superuser|createRole|database)\w+$/, '$1.<role>.<attribute>')
    .replace(/^roles\.[^.]+/, 'roles.<role>')
    .replace(/^schemas\.[^.]+/, 'schemas.<schema>')
    .replace(/\.(grants|defaults|doors)\.[^.]+/, '.$1.<role>')
}
