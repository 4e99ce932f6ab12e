import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { JobsClient } from '@google-cloud/run/build/src/v2/jobs_client.js'
import t from 'tap'
import { digestOf } from '../../sandbox/images.ts'
import { nextCycle } from '../../sandbox/next-cycle.ts'
import { runSql } from '../../sandbox/postgres/sql.ts'
import { startSandbox } from '../../sandbox/sandbox.ts'
import { readScenario, type ScenarioName } from '../../sandbox/scenarios.ts'
import { clientOptions } from '../../src/clients/google/google-client.ts'
import type { Report } from '../../src/report/report.ts'

t.setTimeout(180_000)

const sandbox = await startSandbox({ port: 0, schedule: '* * * * * *', timeout: '20s' })
t.teardown(() => sandbox.close())
const { signal } = new AbortController()
const job = 'projects/openagentsgemini/locations/us-central1/jobs/runtime-migrate'

/** The report of the first cycle after the present state. */
async function report(): Promise<Report> {
  await nextCycle(sandbox.url, signal)
  return (await (await fetch(`${sandbox.url}/drift`)).json()) as Report
}

async function inject(name: ScenarioName): Promise<Report> {
  await sandbox.inject(name)
  return report()
}

function checksOf({ stacks }: Report) {
  return stacks.flatMap(({ checks }) => checks)
}

function statusesOf(current: Report): Record<string, string> {
  return Object.fromEntries(checksOf(current).map(({ check, status }) => [check, status]))
}

/** Runs a printed command, in a shell whose `driftwatch` is the source, without a prompt. */
async function runFix(fix: string) {
  const child = spawn('/bin/sh', ['-ec', `driftwatch() { "${process.execPath}" src/main.ts "$@" --yes; }\n${fix}`], {
    env: { ...process.env, ...sandbox.env, SANDBOX_TIMEOUT: '20s' },
  })
  const exited = once(child, 'close')
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exited])
  return { code, stdout, stderr }
}

/** Executes the job as it is, and resolves with whether the execution succeeded. */
async function executeJob(): Promise<boolean> {
  const client = new JobsClient(clientOptions(sandbox.cloudRun.host, 1024 * 1024, null))
  try {
    const [operation] = await client.runJob({ name: job })
    const [execution] = await operation.promise()
    return execution.succeededCount === 1
  } finally {
    await client.close()
  }
}

async function relations(): Promise<string[]> {
  const rows = await runSql(
    sandbox.postgres.adminUrl,
    "SELECT relname FROM pg_class WHERE relnamespace = 'runtime'::regnamespace AND relkind = 'r' ORDER BY 1",
  )
  return rows.map(([name]) => String(name))
}

const oldTables = [
  'run_events',
  'runs',
  'schema_migrations',
  'spacetime_projection_checkpoints',
  'sync_topic_sequences',
]
const allTables = [...oldTables, 'sync_stream_events'].toSorted()

t.test('the original incident is reported whole, and the printed command fixes it with its table', async t => {
  const incident = await inject('job-left-behind')
  t.strictSame(statusesOf(incident), readScenario('job-left-behind').expect)
  t.strictSame(await relations(), oldTables)
  const fixes = checksOf(incident).flatMap(({ status, fix }) => (status === 'drifted' ? [fix] : []))
  t.equal(fixes.length, 3)
  t.equal(new Set(fixes).size, 1, 'one command fixes everything')
  const [fix] = fixes
  t.match(fix, /^driftwatch migrate --stack runtime/)

  t.ok(await executeJob(), 'the older image succeeds')
  t.strictSame(await relations(), oldTables, 'and does not create the table of the newer one')

  const withConfig = fix?.includes('--config') ? fix : `${fix} --config sandbox/driftwatch.yaml`
  t.match(await runFix(withConfig), { code: 0 })
  t.strictSame(await relations(), allTables)
  t.strictSame(statusesOf(await report()), readScenario('healthy').expect)
})

t.test('a dropped table of a recorded migration is not created again, and the report prints no command', async t => {
  const before = await inject('table-missing')
  t.match(
    checksOf(before).find(({ check }) => check === 'schema'),
    { status: 'drifted', fix: null, advice: /succeeded and did not create it/ },
  )
  t.ok(await executeJob())
  t.strictSame(statusesOf(await report()), readScenario('table-missing').expect, 'the migration does nothing')
  t.strictSame(statusesOf(await inject('healthy')), readScenario('healthy').expect)
  t.strictSame(await relations(), allTables)
})

t.test('an image creates what it carries once, and another command creates nothing', async t => {
  const { postgres } = sandbox
  await runSql(postgres.adminUrl, 'DROP OWNED BY oa_runtime_owner')
  await runSql(postgres.adminUrl, 'CREATE SCHEMA runtime AUTHORIZATION oa_runtime_owner')
  await postgres.migrate(digestOf('image-a'))
  t.strictSame(await relations(), ['run_events', 'runs', 'schema_migrations'])
  await Promise.all([postgres.migrate(digestOf('image-b')), postgres.migrate(digestOf('image-b'))])
  t.strictSame(await relations(), oldTables)
  await postgres.migrate(digestOf('image-legacy'))
  t.strictSame(await relations(), oldTables)

  await sandbox.inject('job-command-changed')
  await runSql(postgres.adminUrl, 'DROP TABLE runtime.schema_migrations')
  t.ok(await executeJob())
  t.notOk((await relations()).includes('schema_migrations'))
})

t.test('an execution whose migration cannot reach the database fails', async t => {
  await sandbox.inject('database-down')
  t.notOk(await executeJob())
})
