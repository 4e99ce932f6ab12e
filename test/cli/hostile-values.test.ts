import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { JsonObject } from '../../sandbox/merge-patch.ts'
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts'
import { loadWorld } from '../../sandbox/world.ts'
import { runCli } from '../../src/cli/cli.ts'
import { systemClock } from '../../src/clock.ts'
import { printable } from '../../src/printable.ts'
import type { Report } from '../../src/report/report.ts'
import { noPrometheus, runPromtool } from '../helpers/prometheus.ts'
import { until } from '../helpers/until.ts'

/** Clears the screen, retitles the window, reorders the line, ends attributes, statements and labels. */
const nasty = [
  'a\r\nIN SYNC fake\tb',
  '\u001b[2J\u001b]0;owned\u0007\u009b31m\u0085\u007f',
  '<script>alert(1)</script><img src=x onerror=alert(1)>',
  '"\'`$(id)\\ {stack="x"} 1\n# TYPE x',
  '\u202eevil\u2066\u200b\u2028\u2029\ufeff\u{e0001}',
].join(' ')
/** UTF-8 cannot represent these; protobuf and JSON can. */
const worse: string = `${nasty}\u0000\ud800\udc00\ud800`
const long = `${worse}${'x'.repeat(1024 * 1024)}`

const lane = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime-rust'
const failedCondition = { state: 'CONDITION_FAILED', message: long, reason: 'UNKNOWN' }

/** Every text that users can set in Cloud Run, and every text of Cloud Run itself. */
const hostileCloudRun = (body: string): JsonObject => ({
  services: {
    runtime: {
      lastModifier: body,
      client: body,
      clientVersion: body,
      updateTime: '-1h',
      annotations: { [nasty]: body },
      labels: { 'driftwatch-stack': body, [nasty]: body },
      template: { containers: { [nasty]: { image: `${lane}:7f2e91c`, env: [{ name: body, value: body }] } } },
      terminalCondition: { type: 'Ready', ...failedCondition, message: body },
      conditions: { [nasty]: { ...failedCondition, message: body } },
      trafficStatuses: [{ type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST', percent: 100, tag: body }],
    },
  },
  revisions: {
    'runtime-00042-kxb': { conditions: { Ready: { ...failedCondition, message: body } } },
  },
  jobs: {
    'runtime-migrate': {
      lastModifier: body,
      client: body,
      template: {
        template: {
          containers: {
            'runtime-migrate-1': { image: body, command: [body], args: [body, body, nasty] },
          },
        },
      },
      terminalCondition: { type: 'Ready', ...failedCondition, message: body },
      latestCreatedExecution: { name: 'runtime-migrate-h8k4p', completionStatus: 'EXECUTION_FAILED' },
    },
  },
  executions: {
    'runtime-migrate-h8k4p': {
      creator: body,
      template: { containers: { 'runtime-migrate-1': { image: `${lane}:41c3d0a`, command: [body], args: [body] } } },
      conditions: { Completed: { ...failedCondition, message: body, executionReason: 'NON_ZERO_EXIT_CODE' } },
    },
  },
  http: {
    '/internal/v1/openapi.json': { status: 302, location: `http://127.0.0.1:9/${encodeURI(nasty)}${'y'.repeat(8000)}` },
    '/internal/v1/credit/health': { body: { schema: body, breakers: body, policy: { max_sats_per_envelope: body } } },
  },
})

/** Names of resources that do not exist. */
const hostileNames = (body: string): JsonObject => ({
  services: {
    runtime: {
      trafficStatuses: [
        { type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION', revision: body.replaceAll('/', ''), percent: 100 },
      ],
    },
  },
  jobs: { 'runtime-migrate': { latestCreatedExecution: { name: body.replaceAll('/', ''), completionStatus: 99 } } },
})

const refusals = (message: string): JsonObject => ({
  faults: [
    { method: 'GetService', code: 'PERMISSION_DENIED', message },
    { method: 'ListServices', code: 'PERMISSION_DENIED', message },
    { method: '*Job*', code: 'INTERNAL', message },
    { method: '*Execution*', code: 'FAILED_PRECONDITION', message },
  ],
  http: {
    '/internal/v1/openapi.json': { contentType: `text/html; charset="<b>${'z'.repeat(4000)}"`, body: nasty },
    '/internal/v1/credit/health': { contentType: 'application/json', body: `{"schema": ${nasty}` },
  },
})

/** As PostgreSQL accepts it: without NUL, and at most 63 bytes. */
const names = ['e\u001b[31m\r\n-- <b>"x"', "\u202e'\\\u009b$$\u2028\u007f", 'U&"\\001b"%s{}&#;', 'x'.repeat(60)]
const quoted = names.map(name => `"${name.replaceAll('"', '""')}"`)
const hostileSql = [
  ...quoted.map(name => `CREATE ROLE ${name} LOGIN`),
  ...quoted.map(name => `CREATE TABLE runtime.${name} (${name} int)`),
  ...quoted.map(name => `GRANT SELECT, UPDATE (${name}) ON runtime.${name} TO ${quoted[0]}`),
  ...quoted.map(name => `GRANT SELECT ON runtime.runs TO ${name}`),
  ...quoted.map(name => `GRANT oa_runtime_rw TO ${name}`),
  ...quoted.slice(0, 3).map(name => `CREATE TYPE public.${name} AS ENUM ('a')`),
  ...quoted
    .slice(0, 3)
    .map(name => `CREATE FUNCTION runtime.${name}(public.${name}) RETURNS int LANGUAGE sql AS 'SELECT 1'`),
  ...quoted.map(
    name => `ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT SELECT ON TABLES TO ${name}`,
  ),
  'DROP TABLE runtime.sync_stream_events',
].join(';\n')

/** Characters that control a terminal, or that it cannot show. */
const unprintable = /(?!\n)[\p{C}\p{Zl}\p{Zp}]/u

function isPlain(t: Test, output: string, what: string, longest = 300_000): void {
  const at = output.search(unprintable)
  t.equal(at, -1, `${what}: control characters: ${JSON.stringify(output.slice(Math.max(0, at - 40), at + 20))}`)
  t.ok(output.length < longest, `${what} is short: ${output.length}`)
}

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command as a pipeline does. */
async function run(
  sandbox: Sandbox,
  args: readonly string[],
  { config = 'sandbox/driftwatch.yaml', ...env }: Record<string, string> = {},
): Promise<Ran> {
  const out = { stdout: '', stderr: '' }
  const stream = (name: keyof typeof out) => ({
    write(text: string) {
      out[name] += text
    },
  })
  const code = await runCli([...args, '--config', config], {
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    variables: {
      ...sandbox.env,
      SANDBOX_SCHEDULE: '* * * * *',
      SANDBOX_TIMEOUT: '20s',
      SANDBOX_STALE_AFTER: '5m',
      ...env,
    },
    clock: systemClock,
    nodeVersion: process.version,
    signal: new AbortController().signal,
  })
  return { code, ...out }
}

async function runPlain(
  t: Test,
  sandbox: Sandbox,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Ran> {
  const ran = await run(sandbox, args, env)
  const command = printable(args.join(' '))
  isPlain(t, ran.stdout, `stdout of ${command}`)
  isPlain(t, ran.stderr, `stderr of ${command}`)
  t.notMatch(ran.stderr, 'This is a bug', command)
  return ran
}

async function get(sandbox: Sandbox, path: string, accept = 'application/json'): Promise<string> {
  return (await fetch(`${sandbox.url}${path}`, { headers: { accept } })).text()
}

/** Waits for the first report of a cycle that starts from now on. */
async function look(sandbox: Sandbox): Promise<Report> {
  const now = Date.now()
  return until(async () => {
    const report = JSON.parse(await get(sandbox, '/drift')) as Report
    return report.cycle && Date.parse(report.cycle.startedAt) > now && report
  })
}

/** Every response of the service is harmless. */
async function answersPlainly(t: Test, sandbox: Sandbox): Promise<void> {
  const json = await get(sandbox, '/drift')
  t.ok(json.length < 300_000, `the report is short: ${json.length}`)
  isPlain(t, json, '/drift')
  isPlain(t, await get(sandbox, '/drift?format=text'), '/drift?format=text')
  for (const { check } of (JSON.parse(json) as Report).stacks[0]?.checks ?? [])
    isPlain(t, await get(sandbox, `/drift/runtime/${check}?format=text`), check)
  const page = await get(sandbox, '/', 'text/html')
  isPlain(t, page, 'the page')
  t.notMatch(
    page.replace(/<style>.*<\/style>/s, ''),
    /<(?!\/?(!doctype|html|head|meta|title|body|header|h1|h2|b|p|main|article|span|a|dl|dt|dd|pre|table|tbody|tr|td|footer)\b|!doctype)/i,
  )
  t.notMatch(page, /<[^>]*(onerror|javascript:)/i)
  const metrics = await get(sandbox, '/metrics')
  isPlain(t, metrics, 'the metrics')
  if (noPrometheus) return
  // It reports errors for names that are not ours.
  const { output } = await runPromtool(['check', 'metrics'], metrics)
  t.strictSame(
    output.split('\n').filter(line => line !== '' && !line.startsWith('nodejs_')),
    [],
  )
}

t.test('external content', async t => {
  const lines: string[] = []
  const sandbox = await startSandbox({
    port: 0,
    logLevel: 'trace',
    schedule: '* * * * * *',
    timeout: '10s',
    staleAfter: '1m',
    onLog: line => lines.push(line),
  })
  t.teardown(() => sandbox.close())
  const become = async (patch: JsonObject, sql: string | null = null) => {
    await sandbox.postgres.reset({ sql })
    const world = loadWorld(patch)
    sandbox.registry.setWorld(world.registry)
    sandbox.contract.setWorld(world.http)
    sandbox.cloudRun.setWorld(world)
    return look(sandbox)
  }

  for (const [name, body] of Object.entries({ wild: worse, long })) {
    t.test(`Cloud Run and the contract, drifted, with text that is ${name}`, async t => {
      const report = await become(hostileCloudRun(body))
      t.equal(report.status, 'drifted')
      t.strictSame(
        report.stacks[0]?.checks.filter(({ error }) => error?.code === 'BUG'),
        [],
      )
      await answersPlainly(t, sandbox)
      const { stdout } = await runPlain(t, sandbox, ['check'])
      t.match(stdout, 'DRIFTED')
      await runPlain(t, sandbox, ['check', '--format', 'json'])
      for (const command of [['migrate'], ['deploy', '--image', `${lane}:c5a11fe`]])
        await runPlain(t, sandbox, [...command, '--stack', 'runtime', '--dry-run'])
    })

    t.test(`names that are ${name}`, async t => {
      const report = await become(hostileNames(body))
      t.strictSame(
        report.stacks[0]?.checks.filter(({ error }) => error?.code === 'BUG'),
        [],
      )
      await answersPlainly(t, sandbox)
      await runPlain(t, sandbox, ['check'])
      await runPlain(t, sandbox, ['migrate', '--stack', 'runtime', '--yes'])
    })

    t.test(`errors with text that is ${name}`, async t => {
      // gRPC percent-encodes messages: half a character cannot be in one.
      const report = await become(refusals(body.slice(0, 7000).replaceAll(/\p{Cs}/gu, '')))
      t.match(report.stacks[0]?.checks, [{ check: 'service-image', error: { code: 'PERMISSION_DENIED' } }])
      await answersPlainly(t, sandbox)
      await runPlain(t, sandbox, ['check'])
      await runPlain(t, sandbox, ['migrate', '--stack', 'runtime', '--yes'])
    })
  }

  t.test('names in PostgreSQL', async t => {
    const report = await become({}, hostileSql)
    t.match(
      report.stacks[0]?.checks.find(({ check }) => check === 'role-grants'),
      { status: 'drifted' },
    )
    await answersPlainly(t, sandbox)
    await runPlain(t, sandbox, ['check'])
    await runPlain(t, sandbox, ['grants', 'snapshot'])
    const admin = { DB_ADMIN_URL: sandbox.postgres.adminUrl }
    await runPlain(t, sandbox, ['grants', 'apply', '--dry-run'], admin)
    await runPlain(t, sandbox, ['grants', 'apply'], admin)
    await runPlain(t, sandbox, ['grants', 'plan'])
    const applied = await runPlain(t, sandbox, ['grants', 'apply', '--yes'], admin)
    t.equal(applied.code, 0, 'the plan still fixes everything')
    t.equal((await run(sandbox, ['check', '--only', 'role-grants'])).code, 0)
  })

  t.test('foreign alert policies, and errors of Cloud Monitoring', async t => {
    sandbox.monitoring.setFaults([{ method: 'CreateTimeSeries', code: 'INTERNAL', message: nasty }])
    for (const kind of ['drifted', 'other'])
      sandbox.monitoring.createPolicy('openagentsgemini', {
        displayName: `${nasty}${kind}`,
        userLabels: { driftwatch_monitor: 'driftwatch', driftwatch_alert: kind, driftwatch_route: 'default' },
        documentation: { subject: 'it differs', content: nasty, links: [] },
        conditions: [
          {
            displayName: nasty,
            conditionAbsent: {
              filter: 'metric.type = "custom.googleapis.com/driftwatch/heartbeat" AND resource.type = "generic_task"',
              duration: { seconds: 300 },
              aggregations: [
                {
                  alignmentPeriod: { seconds: 60 },
                  perSeriesAligner: 'ALIGN_MAX',
                  crossSeriesReducer: 'REDUCE_MAX',
                  groupByFields: [],
                },
              ],
            },
          },
        ],
        combiner: 'OR',
        enabled: { value: kind !== 'drifted' },
        notificationChannels: [],
      })
    await runPlain(t, sandbox, ['alerts', 'plan'])
    await runPlain(t, sandbox, ['alerts', 'apply'])
    await look(sandbox)
    await answersPlainly(t, sandbox)
    sandbox.monitoring.setFaults([{ code: 'PERMISSION_DENIED', message: nasty }])
    const { code } = await runPlain(t, sandbox, ['alerts', 'plan'])
    t.equal(code, 1)
    sandbox.monitoring.setFaults([])
  })

  t.test('a server that speaks the PostgreSQL protocol and sends arbitrary content', async t => {
    for (const body of [nasty, `${nasty}${'x'.repeat(1024 * 1024)}`]) {
      const server = createServer(socket => {
        socket.on('error', () => {})
        socket.once('data', () => {
          const fields = Buffer.from(`SFATAL\0VFATAL\0C${'28000'}\0M${body}\0D${body}\0H${body}\0\0`)
          const head = Buffer.alloc(5, 'E')
          head.writeInt32BE(fields.length + 4, 1)
          socket.end(Buffer.concat([head, fields]))
        })
      })
      await once(server.listen(0, '127.0.0.1'), 'listening')
      const { port } = server.address() as AddressInfo
      const DB_URL = `postgres://driftwatch@127.0.0.1:${port}/app?sslmode=disable`
      for (const args of [['check'], ['grants', 'plan'], ['grants', 'apply', '--yes'], ['config']])
        await runPlain(t, sandbox, args, { DB_URL, DB_ADMIN_URL: DB_URL })
      server.close()
    }
  })

  t.test('a configuration from an untrusted author', async t => {
    const file = join(t.testdir({}), 'nasty.yaml')
    writeFileSync(file, JSON.stringify({ [nasty]: nasty, schedule: nasty, stacks: [{ name: nasty, project: nasty }] }))
    t.equal((await runPlain(t, sandbox, ['config'], { config: file })).code, 1)
    await runPlain(t, sandbox, ['config'], { RUNTIME_BASE_URL: '', SANDBOX_SUPERUSER: nasty })
    await runPlain(t, sandbox, [nasty])
    await runPlain(t, sandbox, ['check', '--stack', nasty])
  })

  t.test('every log line is one short JSON object', t => {
    const isSound = (line: string) => {
      const { severity, message, time } = JSON.parse(line) as Record<string, unknown>
      return [severity, message, time].every(field => typeof field === 'string') && !unprintable.test(line)
    }
    t.strictSame(
      lines.filter(line => !isSound(line) || line.length > 64 * 1024).map(line => line.slice(0, 200)),
      [],
    )
    t.ok(lines.length > 20)
    t.end()
  })
})
