import t, { type Test } from 'tap'
import { type CloudRun, startCloudRun } from '../sandbox/cloud-run.ts'
import { loadWorld, type WorldPatch } from '../sandbox/world.ts'
import { createLog } from '../src/cloud-log.ts'
import { readEnvironment } from '../src/config/environment.ts'
import { parseConfig } from '../src/config/load.ts'
import type { Report } from '../src/report/report.ts'
import { type Server, startServer } from '../src/server.ts'
import { captureLog, type LogLines } from './helpers/capture-log.ts'
import { type AdvancedClock, createAdvancedClock } from './helpers/clock.ts'
import { until } from './helpers/until.ts'

const day = 86_400_000

/** Only the first cycle runs in a test: the next one is a year later. */
const yearly = { schedule: '0 0 1 1 *', staleAfter: '400d', timeout: '5s' }

interface Bench {
  readonly service: Server
  readonly emulator: CloudRun
  readonly clock: AdvancedClock
  readonly log: LogLines
  get(path: string): Promise<Response>
}

function buildConfig(settings: object) {
  const stacks = [
    {
      name: 'runtime',
      project: 'openagentsgemini',
      region: 'us-central1',
      service: { name: 'runtime' },
      job: { name: 'runtime-migrate' },
    },
  ]
  return parseConfig(JSON.stringify({ host: '127.0.0.1', ...settings, stacks }), 'test.yaml', {})
}

async function build(
  t: Test,
  { patch = {}, settings = yearly, port = 0 }: { patch?: WorldPatch; settings?: object; port?: number } = {},
): Promise<Bench> {
  const emulator = await startCloudRun({ world: loadWorld(patch) })
  t.teardown(() => emulator.close())
  const clock = createAdvancedClock()
  const log = captureLog()
  const service = await startServer({
    config: buildConfig(settings),
    environment: readEnvironment({ CLOUD_RUN_EMULATOR_HOST: emulator.host, PORT: String(port) }),
    clock,
    log: createLog({ level: 'info', clock, stream: log.stream }),
    nodeVersion: process.version,
  })
  t.teardown(() => service.close())
  return { service, emulator, clock, log, get: path => fetch(`http://127.0.0.1:${service.port}${path}`) }
}

function isReady({ get }: Bench): Promise<true> {
  return until(async () => (await get('/health/ready')).ok)
}

async function drift({ get }: Bench): Promise<Report> {
  return (await (await get('/drift')).json()) as Report
}

t.test('before the first cycle the service reports unknown and not ready', async t => {
  const context = await build(t, { patch: { faults: [{ hang: true }] } })
  t.match(await drift(context), { status: 'unknown', cycle: null })
  t.equal((await context.get('/drift/gate')).status, 503)
  t.equal((await context.get('/health/live')).status, 200)
  const ready = await context.get('/health/ready')
  t.equal(ready.status, 503)
  t.match(await ready.json(), { reason: /first cycle/ })
})

t.test('after the first cycle it is ready, and the report, the gate and the metrics agree', async t => {
  const context = await build(t)
  await isReady(context)
  t.match(await drift(context), { status: 'in_sync', cycle: { id: 1 } })
  t.equal((await context.get('/drift/gate')).status, 200)
  const metrics = await (await context.get('/metrics')).text()
  t.match(metrics, /driftwatch_check_status\{stack="runtime",check="job-image",status="in_sync"\} 1/)
  t.match(metrics, /driftwatch_api_requests_total\{api="run",method="GetService",code="OK"\} 1/)
  t.match(metrics, /driftwatch_probe_errors_total\{probe="service",code="UNAVAILABLE"\} 0/)
})

t.test('without further cycles the states go stale and become unknown', async t => {
  const context = await build(t)
  await isReady(context)
  const before = await drift(context)
  context.clock.advance(399 * day)
  t.equal((await drift(context)).status, 'in_sync', 'the observation is still valid')
  context.clock.advance(2 * day)
  const report = await drift(context)
  t.match(report, {
    status: 'unknown',
    stacks: [{ checks: [{ status: 'unknown', error: { code: 'STALE' }, differences: [] }, {}, {}] }],
  })
  t.equal(report.stacks[0]?.checks[0]?.since, before.stacks[0]?.checks[0]?.staleAt)
  t.equal((await context.get('/drift/gate')).status, 503)
  t.match(await (await context.get('/metrics')).text(), /check="job-image",status="unknown"\} 1/)
  const ready = await context.get('/health/ready')
  t.match(await ready.json(), { status: 'not_ready', reason: /scheduler has stopped/ })
})

for (const [what, ms] of [
  ['forward', 3_600_000],
  ['back', -3_600_000],
] as const) {
  t.test(`setting the wall clock ${what} by an hour does not change the age of a state`, async t => {
    const context = await build(t, {
      settings: { ...yearly, schedule: '0 * * * * *', staleAfter: '20m', timeout: '5s' },
    })
    await isReady(context)
    const before = await drift(context)
    context.clock.set(ms)
    context.clock.advance(1000)
    await context.service.refresh()
    const after = await drift(context)
    t.equal(after.status, 'in_sync')
    const since = ({ stacks }: Report) => Date.parse(stacks[0]?.checks[0]?.since ?? '')
    // The wall clock counts whole milliseconds, the monotonic clock fractions.
    const isSet = (by: unknown) => Math.abs(Number(by) - ms) <= 1
    t.ok(isSet(since(after) - since(before)), 'the status is as old as before')
    t.ok(context.log.lines().some(({ message, setByMs }) => message === 'wall clock was set' && isSet(setByMs)))
    context.clock.set(-ms)
    context.clock.advance(20 * 60_000 - 5000)
    t.equal((await drift(context)).status, 'in_sync', 'the observation is valid for as long as before')
    context.clock.advance(10_000)
    t.match(await drift(context), { status: 'unknown', stacks: [{ checks: [{ error: { code: 'STALE' } }, {}, {}] }] })
  })
}

for (const [what, ms] of [
  ['forward', 3_600_000],
  ['back', -3_600_000],
] as const) {
  t.test(`without a cycle, setting the wall clock ${what} does not change when a state goes stale`, async t => {
    const context = await build(t)
    await isReady(context)
    context.clock.set(ms)
    context.clock.advance(400 * day - 1_800_000)
    t.equal((await drift(context)).status, 'in_sync')
    context.clock.advance(1_800_000)
    t.match(await drift(context), { status: 'unknown', stacks: [{ checks: [{ error: { code: 'STALE' } }, {}, {}] }] })
  })
}

/** Runs a cycle whose event loop stalls after its first API call. */
async function stallDuringCycle({ emulator, service }: Bench, ms: number): Promise<void> {
  const asked = emulator.calls.all.length
  const refreshed = service.refresh()
  while (emulator.calls.all.length === asked) await new Promise(resolve => setImmediate(resolve))
  const end = performance.now() + ms
  while (performance.now() < end);
  await refreshed
}

t.test('a probe that fails because the event loop stalled reports LOOP_BLOCKED, and the status stays', async t => {
  const settings = { ...yearly, timeout: '1s' }
  const context = await build(t, { patch: { faults: [{ latencyMs: 300 }] }, settings })
  await isReady(context)
  const before = await drift(context)
  await stallDuringCycle(context, 2000)
  const report = await drift(context)
  t.equal(report.status, before.status, 'the previous status stays')
  for (const { error } of report.stacks[0]?.checks ?? [])
    t.match(error, { code: 'LOOP_BLOCKED', message: /^event loop stalled for [12] s of the 1 s allowed\. / })
  const blocked = context.log.lines().find(({ message }) => message === 'event loop stalled during a cycle')
  t.match(blocked, { severity: 'WARNING', stalledMs: Number })
  t.match(
    await (await context.get('/metrics')).text(),
    /driftwatch_probe_errors_total\{probe="job",code="LOOP_BLOCKED"\} 1/,
  )
})

t.test('a cycle logs one info line, and a warning with its code for each failed probe', async t => {
  const context = await build(t, { patch: { faults: [{ method: 'GetJob', code: 'PERMISSION_DENIED' }] } })
  await isReady(context)
  const lines = context.log.lines()
  t.strictSame(
    lines.filter(({ severity }) => severity === 'INFO').map(({ message }) => message),
    ['listening', 'cycle completed'],
  )
  t.match(
    lines.find(({ message }) => message === 'cycle completed'),
    { status: 'unknown', stacks: 1, inSync: 1, unknown: 2, cycle: 1 },
  )
  t.match(
    lines
      .filter(({ severity }) => severity === 'WARNING')
      .map(({ message, probe, code }) => ({ message, probe, code })),
    [
      { message: 'probe failed', probe: 'job', code: 'PERMISSION_DENIED' },
      { message: 'probe failed', probe: 'execution', code: 'PERMISSION_DENIED' },
    ],
  )
})

t.test('a probe during which the event loop stalled for more than half of its time proves nothing', async t => {
  const context = await build(t, { patch: { faults: [{ latencyMs: 300 }] }, settings: { ...yearly, timeout: '2s' } })
  await isReady(context)
  await stallDuringCycle(context, 1500)
  const { stacks } = await drift(context)
  for (const { error } of stacks[0]?.checks ?? []) t.match(error, { code: 'LOOP_BLOCKED' })
})

t.test('a rejected HTTP request is logged with its code, on one printable line', async t => {
  const context = await build(t, {})
  await isReady(context)
  await context.get('/nope/%C2%9B%E2%80%AE')
  await context.get('/drift?x=1')
  t.match(
    context.log.lines().filter(({ message }) => message === 'request rejected'),
    [
      { severity: 'INFO', code: 'ROUTE_NOT_FOUND', url: '/nope/%C2%9B%E2%80%AE' },
      { severity: 'INFO', code: 'USAGE', url: '/drift' },
    ],
  )
})

t.test('a refresh with the token runs a cycle at once, and later answers contain its result', async t => {
  const token = 'a-token-of-the-config-0123456789'
  const settings = { ...yearly, server: { auth: { kind: 'bearer', for: 'acting', tokens: [token] } } }
  const context = await build(t, { settings })
  await isReady(context)
  const refresh = (authorization: string) =>
    fetch(`http://127.0.0.1:${context.service.port}/refresh`, { method: 'POST', headers: { authorization } })
  t.equal((await refresh('Bearer another')).status, 401)
  t.match(await drift(context), { cycle: { id: 1 } })
  const answer = await refresh(`Bearer ${token}`)
  t.equal(answer.status, 200)
  t.match(await answer.json(), { cycle: { id: 2 } })
  t.match(await drift(context), { cycle: { id: 2 } })
  const [one, other] = await Promise.all([refresh(`Bearer ${token}`), refresh(`Bearer ${token}`)])
  t.ok(one.ok && other.ok)
  const last = (await drift(context)).cycle?.id ?? 0
  t.ok(last === 3 || last === 4, 'clients that request a refresh during a cycle share the next one')
  t.notMatch(JSON.stringify(context.log.lines()), token)
})

t.test('an address in use is reported with the remedy', async t => {
  const { service } = await build(t)
  await t.rejects(build(t, { port: service.port }), {
    code: 'ADDRESS_UNAVAILABLE',
    message: `cannot listen on 127.0.0.1:${service.port}: the address is in use. Stop the process that uses it, or set PORT.`,
  })
})

t.test('closing aborts a probe that hangs, and publishes nothing', async t => {
  const context = await build(t, { patch: { faults: [{ hang: true }] }, settings: { ...yearly, timeout: '25s' } })
  await until(() => context.emulator.calls.all.length > 0)
  await context.service.close()
  t.notOk(context.log.lines().some(({ message }) => message === 'cycle completed'))
})

t.test('a refresh runs an extra cycle, or joins the running one', async t => {
  const context = await build(t)
  await isReady(context)
  await Promise.all([context.service.refresh(), context.service.refresh()])
  t.match(await drift(context), { cycle: { id: 2 } })
  t.notOk(context.log.lines().some(({ severity }) => severity === 'WARNING'))
})

t.test('with host localhost, one server with all limits listens', async t => {
  const bench = await build(t, { settings: { ...yearly, host: 'localhost' } })
  t.equal((await bench.get('/health/live')).status, 200)
  await t.rejects(fetch(`http://[::1]:${bench.service.port}/health/live`), 'not a second one, without limits')
})
