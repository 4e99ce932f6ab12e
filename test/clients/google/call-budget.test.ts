import t, { type Test } from 'tap'
import { startCloudRun } from '../../../sandbox/cloud-run.ts'
import { loadWorld, type WorldPatch } from '../../../sandbox/world.ts'
import { createCallBudget } from '../../../src/clients/google/call-budget.ts'
import { systemClock } from '../../../src/clock.ts'
import { createLog } from '../../../src/cloud-log.ts'
import { startDeadline } from '../../../src/concurrency/deadline.ts'
import { readEnvironment } from '../../../src/config/environment.ts'
import { parseConfig } from '../../../src/config/load.ts'
import { buildReport } from '../../../src/report/report.ts'
import { createWatch } from '../../../src/watch.ts'
import { fleetSince, fleetWorld, project, region } from '../../helpers/fleet.ts'

const here = `projects/${project}/locations/${region}/services/one`
const there = `projects/${project}/locations/europe-west1/services/one`

/** Advances the monotonic clock, which the buckets use. */
function jumpingTime(t: Test): (ms: number) => void {
  const real = performance.now.bind(performance)
  let ahead = 0
  t.intercept(performance, 'now', { value: () => real() + ahead })
  return ms => {
    ahead += ms
  }
}

t.test('calls are rejected when the share of the quota is used up, separately for each place', async t => {
  const jump = jumpingTime(t)
  const budget = createCallBudget(systemClock, { steady: 2, catchUp: 5 })
  const take = (resource: string) => budget.take(resource, startDeadline(systemClock, 1000))
  const taken = async (resource: string, calls: number) => {
    const results = await Promise.allSettled(Array.from({ length: calls }, () => take(resource)))
    return results.filter(({ status }) => status === 'fulfilled').length
  }
  t.equal(await taken(here, 8), 5, 'it starts with the catch-up rate')
  await t.rejects(take(here), { code: 'QUOTA_SPENT', message: /5 calls per minute/ })
  t.equal(await taken(there, 3), 3, 'another region has its own share')
  t.equal(budget.endCycle(), 4)
  jump(60_000)
  t.equal(await taken(here, 8), 5, 'the catch-up rate continues after rejected calls')
  budget.endCycle()
  jump(60_000)
  t.equal(await taken(here, 3), 3)
  t.equal(budget.endCycle(), 0)
  jump(60_000)
  t.equal(await taken(here, 3), 2, 'then the steady rate applies')
})

t.test('a call waits if it can be made before its deadline, and stops waiting when it is aborted', async t => {
  const budget = createCallBudget(systemClock, { steady: 600, catchUp: 600 })
  await Promise.all(Array.from({ length: 600 }, () => budget.take(here, startDeadline(systemClock, 5000))))
  const order: number[] = []
  const waiting = [1, 2, 3].map(async number => {
    await budget.take(here, startDeadline(systemClock, 20_000))
    order.push(number)
  })
  const ending = new AbortController()
  const given = t.rejects(budget.take(here, startDeadline(systemClock, 20_000, ending.signal)))
  ending.abort()
  await Promise.all([...waiting, given])
  t.strictSame(order, [1, 2, 3])
})

t.test('calls that can wait leave half of the steady share to others, and never raise the rate', async t => {
  const jump = jumpingTime(t)
  const budget = createCallBudget(systemClock, { steady: 20, catchUp: 40 })
  const deadline = () => startDeadline(systemClock, 1000)
  const spare = () => Math.floor(budget.spare(here))
  t.equal(spare(), 0, 'not before the first cycle has ended')
  budget.endCycle()
  t.equal(spare(), 10)
  await Promise.all(Array.from({ length: 7 }, () => budget.optional.take(here, deadline())))
  t.equal(spare(), 3)
  await Promise.all(Array.from({ length: 13 }, () => budget.take(here, deadline())))
  t.ok(spare() <= 0)
  t.ok(budget.spare(there) > 0, 'another region has its own share')
  await t.rejects(budget.optional.take(here, deadline()), { code: 'QUOTA_SPENT' })
  t.equal(budget.endCycle(), 0, 'a rejected call that can wait does not raise the rate')
  await t.rejects(budget.take(here, deadline()), { code: 'QUOTA_SPENT' })
  budget.endCycle()
  jump(60_000)
  t.equal(spare(), 0, 'nothing is spare while there is more to read than the steady rate allows')
})

async function build(t: Test, patch: WorldPatch, config: object) {
  const emulator = await startCloudRun({ world: loadWorld(patch, fleetSince) })
  const watch = createWatch({
    config: parseConfig(JSON.stringify(config), 'test.yaml', {}),
    environment: readEnvironment({ CLOUD_RUN_EMULATOR_HOST: emulator.host }),
    clock: systemClock,
    log: createLog({ level: 'silent', clock: systemClock }),
  })
  t.teardown(async () => {
    await watch.close()
    await emulator.close()
  })
  return { watch, emulator }
}

t.test('a fleet that is too large for one cycle is read over several, within the share of the quota', async t => {
  const jump = jumpingTime(t)
  const fleet = Array.from({ length: 60 }, (_, index) => ({ name: `app-${index}` }))
  const faults = [
    { method: 'ListRevisions', code: 'PERMISSION_DENIED' },
    { method: 'ListExecutions', code: 'PERMISSION_DENIED' },
  ] as unknown as WorldPatch
  const quota = { readsPerMinute: 120 }
  const config = { timeout: '4s', quota, discover: [{ projects: [project], regions: [region] }] }
  const { watch, emulator } = await build(t, { ...fleetWorld(fleet), faults }, config)
  const known: number[] = []
  const calls: number[] = []
  const report = () => buildReport(watch.store.snapshot(systemClock.now()))
  do {
    emulator.calls.clear()
    await watch.runCycle()
    calls.push(emulator.calls.all.length)
    known.push(report().stacks.filter(({ status }) => status === 'in_sync').length)
    t.notOk(report().status === 'drifted', 'a stack that was not probed is not drifted')
    if (watch.isCatchingUp()) t.equal(report().status, 'unknown')
    jump(30_000)
  } while (watch.isCatchingUp() && known.length < 20)
  t.strictSame(
    known,
    known.toSorted((one, other) => one - other),
    'each cycle observes more',
  )
  t.equal(known.at(-1), 60)
  t.ok(known.length > 2 && known.length < 10, `${known.length} cycles: ${known.join()}`)
  t.ok((calls[0] ?? 0) <= 66, `${calls.join()} calls`)
  for (const more of calls.slice(1)) t.ok(more <= 36, `${more} calls in half a minute, and the waiting ones`)
  emulator.calls.clear()
  await watch.runCycle()
  t.strictSame(emulator.calls.counts(), { ListServices: 1, ListJobs: 1 }, 'then a cycle costs only its pages')
  t.equal(report().status, 'in_sync')
})

t.test('when the quota is short, the stack with the oldest observation comes first', async t => {
  const jump = jumpingTime(t)
  const names = Array.from({ length: 50 }, (_, index) => `app-${index}`)
  const patch = fleetWorld(names.map(name => ({ name })))
  const stacks = names.map(name => ({ name, project, region, service: { name } }))
  const config = { timeout: '2s', quota: { readsPerMinute: 120 }, stacks }
  const { watch, emulator } = await build(t, patch, config)
  /** The stacks that are probed in a cycle, half a minute after the last. */
  const look = async () => {
    jump(30_000)
    await watch.runCycle()
    const { stacks } = watch.store.snapshot(systemClock.now())
    return stacks.filter(({ states }) => states.every(({ error }) => error === null)).map(({ name }) => name)
  }
  t.strictSame(await look(), names)
  const faults = [{ method: 'List*', code: 'PERMISSION_DENIED' }] as unknown as WorldPatch
  emulator.setWorld(loadWorld({ ...patch, faults }, fleetSince))
  // Uses up the accumulated budget.
  await look()
  let before = await look()
  for (const cycle of [1, 2, 3]) {
    const seen = await look()
    t.ok(seen.length < 40, `${seen.length} of 50`)
    t.strictSame(new Set([...before, ...seen]).size, 50, `all are observed within two cycles, ${cycle}`)
    before = seen
  }
})
