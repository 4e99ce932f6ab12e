import t, { type Test } from 'tap'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import { loadWorld, type WorldPatch } from '../../sandbox/world.ts'
import { createLog } from '../../src/cloud-log.ts'
import { readEnvironment } from '../../src/config/environment.ts'
import { parseConfig } from '../../src/config/load.ts'
import type { Report } from '../../src/report/report.ts'
import { createScheduler } from '../../src/schedule/scheduler.ts'
import { startServer } from '../../src/server.ts'
import { captureLog } from '../helpers/capture-log.ts'
import { createAdvancedClock } from '../helpers/clock.ts'
import { startSwitchboard } from '../helpers/switchboard.ts'
import { until } from '../helpers/until.ts'

/** Timelines of the real service: what its caches cannot notice is found within `verifyEvery`. */

const [second, minute] = [1000, 60_000]
const verifyEvery = 2 * minute
const cyclesPerWindow = verifyEvery / (30 * second)
const project = 'openagentsgemini'
const execution = 'runtime-migrate-h8k4p'
/** The cycles of a test follow each other without a pause. */
const quota = { readsPerMinute: 100_000 }
const job = 'runtime-migrate'
const revision = 'runtime-00042-kxb'
const repository = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime-rust'
const imageB = `${repository}@digest(image-b)`

async function watch(t: Test) {
  const clock = createAdvancedClock()
  const since = clock.now()
  const emulator = await startCloudRun({ world: loadWorld({}, since) })
  t.teardown(() => emulator.close())
  const address = await startSwitchboard(t, emulator.host)
  const service = { name: 'runtime', repositories: [repository] }
  const stack = { name: 'runtime', project, region: 'us-central1', service, job: { name: job } }
  const settings = {
    schedule: '*/30 * * * * *',
    verifyEvery: '2m',
    timeout: '5s',
    host: '127.0.0.1',
    quota,
    stacks: [stack],
  }
  const { stream, lines } = captureLog()
  const server = await startServer({
    config: parseConfig(JSON.stringify(settings), 'test.yaml', {}),
    environment: readEnvironment({ CLOUD_RUN_EMULATOR_HOST: address.host, PORT: '0' }),
    clock,
    log: createLog({ level: 'info', clock, stream }),
    nodeVersion: process.version,
    // The test runs the cycles.
    schedule: options => createScheduler({ ...options, schedule: '0 0 1 1 *' }),
  })
  t.teardown(() => server.close())
  const get = (path: string) => fetch(`http://127.0.0.1:${server.port}${path}`)
  await until(async () => (await get('/health/ready')).ok)
  async function statuses(): Promise<Readonly<Record<string, string>>> {
    const { stacks } = (await (await get('/drift')).json()) as Report
    return Object.fromEntries(stacks.flatMap(({ checks }) => checks.map(({ check, status }) => [check, status])))
  }
  /** Thirty seconds later. */
  async function cycle() {
    clock.advance(30 * second)
    await server.refresh()
    return statuses()
  }
  return {
    clock,
    emulator,
    address,
    statuses,
    cycle,
    /** Runs cycles until the condition holds, and returns how many. */
    async cyclesUntil(holds: (statuses: Readonly<Record<string, string>>) => boolean): Promise<number> {
      for (let cycles = 1; cycles <= 3 * cyclesPerWindow; cycles += 1) if (holds(await cycle())) return cycles
      return Number.POSITIVE_INFINITY
    },
    /** Runs cycles for the length of `verifyEvery`. */
    async window() {
      for (let cycles = 0; cycles < cyclesPerWindow; cycles += 1) await cycle()
      return statuses()
    },
    become(patch: WorldPatch) {
      emulator.setWorld(loadWorld(patch, since, since))
    },
    async metric(name: string): Promise<number> {
      const text = await (await get('/metrics')).text()
      return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1])
    },
    logged: (message: string) => lines().filter(line => line.message === message),
  }
}

function jobWith(image: string): WorldPatch {
  return { jobs: { [job]: { template: { template: { containers: { 'runtime-migrate-1': { image } } } } } } }
}

const wrong = 'cached responses were wrong; using the fresh ones'

/** Changes that nothing refers to: an ordinary observation cannot notice them. */
const silentChanges: Record<string, { check: string; patch: WorldPatch }> = {
  'the result of an execution': {
    check: 'migration-execution',
    patch: {
      executions: {
        [execution]: {
          succeededCount: 0,
          failedCount: 1,
          conditions: { Completed: { state: 'CONDITION_FAILED', executionReason: 'NON_ZERO_EXIT_CODE' } },
        },
      },
    },
  },
  'the image of an execution': {
    check: 'migration-execution',
    patch: { executions: { [execution]: { template: { containers: { 'runtime-migrate-1': { image: imageB } } } } } },
  },
  'the image of a revision': {
    check: 'service-image',
    patch: { revisions: { [revision]: { containers: { 'runtime-1': { image: imageB.replace('rust', 'other') } } } } },
  },
}

for (const [what, { check, patch }] of Object.entries(silentChanges)) {
  t.test(`${what} that changed unnoticed is found within verifyEvery, counted and logged`, async t => {
    const { become, cycle, cyclesUntil, window, metric, logged, statuses } = await watch(t)
    t.match(await cycle(), { [check]: 'in_sync' })
    become(patch)
    t.match(await cycle(), { [check]: 'in_sync' }, 'not visible to an ordinary observation')
    const cycles = await cyclesUntil(found => found[check] === 'drifted')
    t.ok(cycles <= cyclesPerWindow, `found after ${cycles} cycles`)
    const count = await metric('driftwatch_cache_mismatches_total')
    t.ok(count >= 1, 'counted')
    const lines = logged(wrong).filter(line => line.check === check)
    t.match(lines, [{ severity: 'ERROR', stack: 'runtime', check, cached: /./, fresh: /./ }])
    t.match(await cycle(), { [check]: 'drifted' }, 'ordinary observations agree from then on')
    await window()
    t.equal(await metric('driftwatch_cache_mismatches_total'), count, 'counted once')
    t.match(await statuses(), { [check]: 'drifted' })
  })
}

t.test('a real change in the cycle of a verification is no mismatch', async t => {
  const { become, cycle, metric, logged } = await watch(t)
  // Every cycle sees a change, the verifying ones too.
  for (let cycles = 0; cycles < 2 * cyclesPerWindow; cycles += 1) {
    const isChanged = cycles % 2 === 0
    become(isChanged ? jobWith(imageB) : {})
    t.match(await cycle(), { 'job-image': isChanged ? 'drifted' : 'in_sync' })
  }
  t.equal(await metric('driftwatch_cache_mismatches_total'), 0)
  t.strictSame(logged(wrong), [])
})

t.test('the metric shows the oldest verification; between verifications a cycle costs as much as before', async t => {
  const { clock, cycle, emulator, metric } = await watch(t)
  const verifiedAt = () => metric('driftwatch_verified_timestamp_seconds')
  const first = await verifiedAt()
  t.ok(Math.abs(first - clock.now() / 1000) < 30, 'the first cycle keeps nothing, so it is a verification')
  const costs: Record<string, number>[] = []
  const times: number[] = []
  for (let cycles = 0; cycles < 2 * cyclesPerWindow; cycles += 1) {
    emulator.calls.clear()
    await cycle()
    costs.push(emulator.calls.counts())
    times.push(await verifiedAt())
    t.ok(clock.now() / 1000 - (times.at(-1) ?? 0) <= verifyEvery / 1000 + 1, 'never older than verifyEvery')
  }
  const steady = costs.filter((_, at) => times[at] === (times[at - 1] ?? first))
  t.same(
    steady,
    steady.map(() => ({ GetService: 1, GetJob: 1 })),
  )
  t.ok(costs.length - steady.length <= 3, `${costs.length - steady.length} of ${costs.length} cycles verify`)
})

t.test('an address that moved without closing connections is followed within verifyEvery', async t => {
  const { address, cycle, cyclesUntil, metric } = await watch(t)
  const other = await startCloudRun({ world: loadWorld(jobWith(imageB), Date.now()) })
  t.teardown(() => other.close())
  t.match(await cycle(), { 'job-image': 'in_sync' })
  address.lead(other.host)
  t.match(await cycle(), { 'job-image': 'in_sync' }, 'the old connections still lead to the old server')
  const cycles = await cyclesUntil(found => found['job-image'] === 'drifted')
  t.ok(cycles <= cyclesPerWindow, `found after ${cycles} cycles`)
  t.equal(await metric('driftwatch_api_requests_total{api="run",method="GetJob",code="UNAVAILABLE"}'), 0)
})

t.test('a verification that fails changes no status, and replaces the connections', async t => {
  const { address, emulator, cycle, window, metric, logged } = await watch(t)
  t.match(await cycle(), { 'job-image': 'in_sync' })
  const verified = await metric('driftwatch_verified_timestamp_seconds')
  const failed = () => logged('verification failed; replacing connections')
  // Only new connections fail.
  address.lead('127.0.0.1:1')
  let cycles = 0
  for (; failed().length === 0 && cycles < 2 * cyclesPerWindow; cycles += 1)
    t.match(await cycle(), { 'job-image': 'in_sync' }, 'the ordinary observation decides')
  t.ok(cycles <= cyclesPerWindow, `failed after ${cycles} cycles`)
  t.match(failed(), [{ severity: 'INFO', stacks: 1 }])
  t.equal(await metric('driftwatch_verified_timestamp_seconds'), verified, 'a failed verification does not count')
  const connections = address.total()
  address.lead(emulator.host)
  await cycle()
  t.ok(address.total() > connections, 'ordinary observations open new connections')
  t.match(await window(), { 'job-image': 'in_sync' })
  t.ok((await metric('driftwatch_verified_timestamp_seconds')) > verified)
  t.equal(await metric('driftwatch_cache_mismatches_total'), 0)
})
