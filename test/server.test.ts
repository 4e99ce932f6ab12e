import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { type CloudRun, startCloudRun } from '../sandbox/cloud-run.ts'
import { loadWorld, type WorldPatch } from '../sandbox/world.ts'
import { systemClock } from '../src/clock.ts'
import { createLog } from '../src/cloud-log.ts'
import { readEnvironment } from '../src/config/environment.ts'
import { parseConfig } from '../src/config/load.ts'
import type { Report } from '../src/report/report.ts'
import { createScheduler } from '../src/schedule/scheduler.ts'
import { startTimetable } from '../src/schedule/timetable.ts'
import { type Server, startServer } from '../src/server.ts'
import { type AdvancedClock, createAdvancedClock } from './helpers/clock.ts'
import { until } from './helpers/until.ts'

const day = 86_400_000

/** Looks at the start and then once a year: only the first cycle happens in a test. */
const yearly = { schedule: '0 0 1 1 *', staleAfter: '400d', timeout: '5s' }

interface Bench {
  readonly service: Server
  readonly emulator: CloudRun
  readonly clock: AdvancedClock
  readonly log: LogLines
  get(path: string): Promise<Response>
}

interface LogLines {
  readonly stream: PassThrough
  lines(): Record<string, unknown>[]
}

function captureLog(): LogLines {
  const stream = new PassThrough()
  let text = ''
  stream.on('data', chunk => {
    text += chunk
  })
  const lines = () => text.split('\n').filter(line => line !== '')
  return { stream, lines: () => lines().map(line => JSON.parse(line)) }
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
  return parseConfig(JSON.stringify({ ...settings, host: '127.0.0.1', stacks }), 'test.yaml', {})
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

t.test('it answers before it knows anything, and says so', async t => {
  const context = await build(t, { patch: { faults: [{ hang: true }] } })
  t.match(await drift(context), { status: 'unknown', cycle: null })
  t.equal((await context.get('/drift/gate')).status, 503)
  t.equal((await context.get('/health/live')).status, 200)
  const ready = await context.get('/health/ready')
  t.equal(ready.status, 503)
  t.match(await ready.json(), { reason: /first cycle/ })
})

t.test('after the first cycle it is ready, and the report, the gate and the metrics say the same', async t => {
  const context = await build(t)
  await isReady(context)
  t.match(await drift(context), { status: 'in_sync', cycle: { id: 1 } })
  t.equal((await context.get('/drift/gate')).status, 200)
  const metrics = await (await context.get('/metrics')).text()
  t.match(metrics, /driftwatch_check_status\{stack="runtime",check="job-image",status="in_sync"\} 1/)
  t.match(metrics, /driftwatch_api_requests_total\{api="run",method="GetService",code="OK"\} 1/)
  t.match(metrics, /driftwatch_probe_errors_total\{probe="service",code="UNAVAILABLE"\} 0/)
})

t.test('when nothing looks any more, what was known turns unknown by itself', async t => {
  const context = await build(t)
  await isReady(context)
  const before = await drift(context)
  context.clock.advance(399 * day)
  t.equal((await drift(context)).status, 'in_sync', 'it is believed for so long')
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
  t.test(`the wall clock set ${what} by an hour makes nothing older or younger`, async t => {
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
    // The wall clock counts whole milliseconds, and the other one parts of them.
    const isSet = (by: unknown) => Math.abs(Number(by) - ms) <= 1
    t.ok(isSet(since(after) - since(before)), 'what was noted before is as old as it was')
    t.ok(context.log.lines().some(({ message, setByMs }) => message === 'the wall clock was set' && isSet(setByMs)))
    context.clock.set(-ms)
    context.clock.advance(20 * 60_000 - 5000)
    t.equal((await drift(context)).status, 'in_sync', 'it is believed for as long as it was to be')
    context.clock.advance(10_000)
    t.match(await drift(context), { status: 'unknown', stacks: [{ checks: [{ error: { code: 'STALE' } }, {}, {}] }] })
  })
}

for (const [what, ms] of [
  ['forward', 3_600_000],
  ['back', -3_600_000],
] as const) {
  t.test(`without a cycle, too, the wall clock set ${what} changes nothing of when a state goes stale`, async t => {
    const context = await build(t)
    await isReady(context)
    context.clock.set(ms)
    context.clock.advance(400 * day - 1_800_000)
    t.equal((await drift(context)).status, 'in_sync')
    context.clock.advance(1_800_000)
    t.match(await drift(context), { status: 'unknown', stacks: [{ checks: [{ error: { code: 'STALE' } }, {}, {}] }] })
  })
}

/** A cycle in which the process stands still as soon as it has asked something. */
async function sleepThroughALook({ emulator, service }: Bench, ms: number): Promise<void> {
  const asked = emulator.calls.all.length
  const refreshed = service.refresh()
  while (emulator.calls.all.length === asked) await new Promise(resolve => setImmediate(resolve))
  const end = performance.now() + ms
  while (performance.now() < end);
  await refreshed
}

t.test('what was not answered because the process itself stood still is no fault of who was asked', async t => {
  const settings = { ...yearly, timeout: '1s' }
  const context = await build(t, { patch: { faults: [{ latencyMs: 300 }] }, settings })
  await isReady(context)
  const before = await drift(context)
  await sleepThroughALook(context, 2000)
  const report = await drift(context)
  t.equal(report.status, before.status, 'what was known stays')
  for (const { error } of report.stacks[0]?.checks ?? [])
    t.match(error, { code: 'LOOP_BLOCKED', message: /^Driftwatch itself stood still for [12]s of the 1s allowed/ })
  const blocked = context.log.lines().find(({ message }) => message === 'the process stood still during a cycle')
  t.match(blocked, { severity: 'WARNING', stoodStillMs: Number })
  t.match(
    await (await context.get('/metrics')).text(),
    /driftwatch_probe_errors_total\{probe="job",code="LOOP_BLOCKED"\} 1/,
  )
})

t.test('one info line a cycle, and a warning with its code for a look that failed', async t => {
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
      { message: 'a look failed', probe: 'job', code: 'PERMISSION_DENIED' },
      { message: 'a look failed', probe: 'execution', code: 'PERMISSION_DENIED' },
    ],
  )
})

t.test('a look that the process slept through for more than half of its time proves nothing', async t => {
  const context = await build(t, { patch: { faults: [{ latencyMs: 300 }] }, settings: { ...yearly, timeout: '2s' } })
  await isReady(context)
  await sleepThroughALook(context, 1500)
  const { stacks } = await drift(context)
  for (const { error } of stacks[0]?.checks ?? []) t.match(error, { code: 'LOOP_BLOCKED' })
})

t.test('what is refused over HTTP is logged with its code, on one plain line', async t => {
  const context = await build(t, {})
  await isReady(context)
  await context.get('/nope/%C2%9B%E2%80%AE')
  await context.get('/drift?x=1')
  t.match(
    context.log.lines().filter(({ message }) => message === 'request rejected'),
    [
      { severity: 'INFO', code: 'ROUTE_NOT_FOUND', url: '/nope/%C2%9B%E2%80%AE' },
      { severity: 'INFO', code: 'USAGE', url: '/drift?x=1' },
    ],
  )
})

t.test('a refresh looks at once, for who has the token, and what it saw is answered from then on', async t => {
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
  t.ok(last === 3 || last === 4, 'who asks while a cycle is under way shares the next')
  t.notMatch(JSON.stringify(context.log.lines()), token)
})

t.test('an address that is taken is named, with the remedy', async t => {
  const { service } = await build(t)
  await t.rejects(build(t, { port: service.port }), {
    code: 'ADDRESS_UNAVAILABLE',
    message: `cannot listen on 127.0.0.1:${service.port}: it is in use: stop what listens there, or set PORT`,
  })
})

t.test('closing gives up a look that hangs, and publishes nothing of it', async t => {
  const context = await build(t, { patch: { faults: [{ hang: true }] }, settings: { ...yearly, timeout: '25s' } })
  await until(() => context.emulator.calls.all.length > 0)
  await context.service.close()
  t.notOk(context.log.lines().some(({ message }) => message === 'cycle completed'))
})

t.test('a refresh runs a cycle out of turn, and joins one that is under way', async t => {
  const context = await build(t)
  await isReady(context)
  await Promise.all([context.service.refresh(), context.service.refresh()])
  t.match(await drift(context), { cycle: { id: 2 } })
  t.notOk(context.log.lines().some(({ severity }) => severity === 'WARNING'))
})

t.test('the scheduler', async t => {
  const everySecond = (run: () => Promise<void>, log = captureLog()) => ({
    log,
    scheduler: createScheduler({
      schedule: '* * * * * *',
      jitterMs: 0,
      clock: systemClock,
      log: createLog({ level: 'info', clock: systemClock, stream: log.stream }),
      run,
    }),
  })

  t.test('runs at once, then by the schedule, and a run that throws ends nothing', async t => {
    let runs = 0
    const { scheduler, log } = everySecond(async () => {
      runs += 1
      if (runs === 1) throw new Error('the first one fails')
    })
    await scheduler.start()
    t.equal(runs, 1)
    t.match(log.lines(), [{ severity: 'ERROR', message: 'a cycle failed', err: { message: 'the first one fails' } }])
    await until(() => runs >= 2)
    await scheduler.stop()
    t.ok(scheduler.sinceLastTick() < 60_000)
  })

  t.test('never runs twice at once, and stops only when what runs is over', async t => {
    let running = 0
    let most = 0
    let release = () => {}
    const { scheduler, log } = everySecond(async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise<void>(resolve => {
        release = resolve
      })
      running -= 1
    })
    const first = scheduler.start()
    await until(() => log.lines().length > 0)
    t.match(log.lines()[0], { severity: 'WARNING' })
    const stopped = scheduler.stop().then(() => running)
    release()
    t.equal(await stopped, 0)
    await first
    t.equal(most, 1)
  })

  /** Sets the system's clock, for node-cron too. */
  function setClock(aheadMs: number): () => void {
    const Real = globalThis.Date
    class Shifted extends Real {
      constructor(given: number = Real.now() + aheadMs) {
        super(given)
      }

      static override now(): number {
        return Real.now() + aheadMs
      }
    }
    globalThis.Date = Shifted as unknown as DateConstructor
    return () => {
      globalThis.Date = Real
    }
  }

  for (const [what, aheadMs] of [
    ['back by an hour', -3_600_000],
    ['forward by an hour', 3_600_000],
    ['forward by 50 years', 50 * 365 * day],
  ] as const) {
    t.test(`goes on when the clock is set ${what}, without a word of what it missed`, async t => {
      let runs = 0
      const { scheduler, log } = everySecond(async () => {
        runs += 1
      })
      await scheduler.start()
      const restore = setClock(aheadMs)
      t.teardown(restore)
      await until(() => runs >= 3)
      restore()
      await scheduler.stop()
      t.strictSame(log.lines(), [])
    })
  }

  t.test('sees within a minute that the clock was set past its next run', async t => {
    const waiter = createAdvancedClock()
    let runs = 0
    const timetable = startTimetable({ schedule: '0 0 1 1 *', jitterMs: 0, waiter, onDue: () => runs++ })
    t.teardown(() => timetable.close())
    waiter.advance(61_000)
    t.equal(runs, 0)
    t.teardown(setClock(366 * day))
    waiter.advance(61_000)
    t.equal(runs, 1)
  })
})
