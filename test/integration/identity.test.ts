import t, { type Test } from 'tap'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import { loadWorld, type WorldPatch } from '../../sandbox/world.ts'
import { createLog } from '../../src/cloud-log.ts'
import { readEnvironment } from '../../src/config/environment.ts'
import { parseConfig } from '../../src/config/load.ts'
import type { Report } from '../../src/report/report.ts'
import { startServer } from '../../src/server.ts'
import { createAdvancedClock } from '../helpers/clock.ts'
import { startSwitchboard } from '../helpers/switchboard.ts'
import { until } from '../helpers/until.ts'

/** Timelines of the real service, in which resources are deleted and created again under their names. */

const minute = 60_000
const project = 'openagentsgemini'
const execution = 'runtime-migrate-h8k4p'
const job = 'runtime-migrate'
const revision = 'runtime-00042-kxb'
const repository = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime-rust'
const imageB = `${repository}@digest(image-b)`
const imageC = `${repository}@digest(image-c)`

type ReportedCheck = Report['stacks'][number]['checks'][number]

async function watch(t: Test, more: object = {}) {
  const clock = createAdvancedClock()
  const since = clock.now()
  const emulator = await startCloudRun({ world: loadWorld({}, since) })
  t.teardown(() => emulator.close())
  const address = await startSwitchboard(t, emulator.host)
  const stack = { name: 'runtime', project, region: 'us-central1', service: { name: 'runtime' }, job: { name: job } }
  // Only the first cycle runs by itself: the next one is a year later.
  const settings = {
    schedule: '0 0 1 1 *',
    staleAfter: '400d',
    timeout: '5s',
    host: '127.0.0.1',
    ...more,
    stacks: [stack],
  }
  const service = await startServer({
    config: parseConfig(JSON.stringify(settings), 'test.yaml', {}),
    environment: readEnvironment({ CLOUD_RUN_EMULATOR_HOST: address.host, PORT: '0' }),
    clock,
    log: createLog({ level: 'silent', clock }),
    nodeVersion: process.version,
  })
  t.teardown(() => service.close())
  const get = (path: string) => fetch(`http://127.0.0.1:${service.port}${path}`)
  await until(async () => (await get('/health/ready')).ok)
  async function report(): Promise<Readonly<Record<string, ReportedCheck>>> {
    const { stacks } = (await (await get('/drift')).json()) as Report
    return Object.fromEntries(stacks.flatMap(({ checks }) => checks.map(state => [state.check, state])))
  }
  return {
    clock,
    address,
    report,
    async cycle() {
      await service.refresh()
      return report()
    },
    /** The requests to Cloud Run since the last call. */
    counts() {
      const counts = emulator.calls.counts()
      emulator.calls.clear()
      return counts
    },
    /** Changes the world from the healthy one, and runs a cycle. */
    async become(patch: WorldPatch) {
      emulator.setWorld(loadWorld(patch, clock.now(), since))
      emulator.calls.clear()
      await service.refresh()
      return report()
    },
  }
}

/** The execution that the job refers to, created again. */
function recreated(reference: WorldPatch, resource: WorldPatch): WorldPatch {
  return {
    jobs: { [job]: { latestCreatedExecution: { ...reference } } },
    executions: { [execution]: { uid: 'a5b0c1d2-recreated', ...resource } },
  }
}

const outcomes: Record<string, { patch: WorldPatch; expected: object }> = {
  failed: {
    patch: recreated(
      { createTime: '-2m', completionTime: '-1m', completionStatus: 'EXECUTION_FAILED' },
      {
        createTime: '-2m',
        completionTime: '-1m',
        succeededCount: 0,
        failedCount: 1,
        conditions: { Completed: { state: 'CONDITION_FAILED', executionReason: 'NON_ZERO_EXIT_CODE' } },
      },
    ),
    expected: { status: 'drifted', differences: [{ path: 'execution.result', actual: /^failed/ }] },
  },
  'ran another image': {
    patch: recreated(
      { createTime: '-2h', completionTime: '-119m' },
      {
        createTime: '-2h',
        completionTime: '-119m',
        template: { containers: { 'runtime-migrate-1': { image: imageB } } },
      },
    ),
    expected: { status: 'drifted', differences: [{ path: 'execution.image' }] },
  },
  'is running for two hours': {
    patch: recreated(
      { createTime: '-2h', completionTime: null, completionStatus: 'EXECUTION_RUNNING' },
      {
        createTime: '-2h',
        completionTime: null,
        succeededCount: 0,
        runningCount: 1,
        conditions: { Completed: { state: 'CONDITION_RECONCILING' } },
      },
    ),
    expected: { status: 'drifted', differences: [{ path: 'execution.completion', actual: 'in progress for 2 h' }] },
  },
}

for (const [what, { patch, expected }] of Object.entries(outcomes)) {
  t.test(`an execution that is created again under the same name and ${what} is drift in the next cycle`, async t => {
    const { become, counts } = await watch(t)
    t.match((await become({}))['migration-execution'], { status: 'in_sync' })
    t.match((await become(patch))['migration-execution'], expected)
    t.match(counts(), { GetExecution: 1 })
    t.match((await become({}))['migration-execution'], { status: 'in_sync' }, 'and again')
    await become({})
    t.strictSame(counts(), { GetService: 1, GetJob: 1 }, 'the steady cycle costs as much as before')
  })
}

/** The job names its image by digest. */
const jobByDigest = (image: string, resource: WorldPatch = {}): WorldPatch => ({
  jobs: { [job]: { ...resource, template: { template: { containers: { 'runtime-migrate-1': { image } } } } } },
})

t.test('a revision that is created again under the same name is read again with its service', async t => {
  const { become } = await watch(t)
  const serving = (uid: string, image: string, resource: WorldPatch): WorldPatch => ({
    ...jobByDigest(imageC),
    services: { runtime: resource },
    revisions: { [revision]: { uid, etag: '"kept"', containers: { 'runtime-1': { image } } } },
  })
  // Without a registry, the digest on the job may be an index that holds the new one.
  const unresolved = { status: 'unknown', error: { code: 'IMAGE_UNRESOLVED' } }
  for (const [what, before, after] of [
    ['another service with an equal etag', { etag: '"kept"' }, { etag: '"kept"', uid: 'another' }],
    ['a service without an etag', { etag: '' }, { etag: '' }],
  ] as const) {
    t.match((await become(serving('first', imageC, before)))['job-image'], { status: 'in_sync' }, what)
    t.match((await become(serving('second', imageB, after)))['job-image'], unresolved, what)
  }
})

t.test('the status of a service or job that is created again begins when it is first observed', async t => {
  const { clock, become, report } = await watch(t)
  const before = await become({})
  clock.advance(10 * minute)
  await become({})
  const since = (checks: typeof before, kind: string) => checks[kind]?.since
  const kinds = ['service-image', 'job-image', 'migration-execution']
  const changed = (now: typeof before, last: typeof before) =>
    kinds.filter(kind => since(now, kind) !== since(last, kind))
  t.strictSame(changed(await report(), before), [], 'an unchanged resource keeps its status')

  const anotherJob = await become({ jobs: { [job]: { uid: 'another', createTime: '-1m', updateTime: '-1m' } } })
  t.ok(Object.values(anotherJob).every(({ status }) => status === 'in_sync'))
  t.strictSame(changed(anotherJob, before), ['job-image', 'migration-execution'])
  const both = await become({
    jobs: { [job]: { uid: 'another', createTime: '-1m', updateTime: '-1m' } },
    services: { runtime: { uid: 'another', createTime: '-1m' } },
  })
  t.ok(since(both, 'service-image') !== since(before, 'service-image'))
})

t.test('a job that is created again is not blamed for the drift of its predecessor', async t => {
  const { clock, become } = await watch(t)
  await become(jobByDigest(imageC))
  const old = await become(jobByDigest(imageB))
  t.match(old['job-image'], { status: 'drifted', differences: [{ path: 'job.image' }] })
  const touched = await become(jobByDigest(imageB, { updateTime: '-1m' }))
  t.match(touched['job-image'], { status: 'drifted' }, 'the same job')
  t.match(touched['job-image']?.notes.join(' '), /drifted before this rollout/)
  const createdAt = new Date(clock.now() - minute).toISOString()
  const another = jobByDigest(imageB, { uid: 'another', createTime: createdAt, updateTime: createdAt })
  const young = await become(another)
  t.match(young['job-image'], { status: 'pending' }, 'another job, within the grace period')
  t.notMatch(young['job-image']?.notes.join(' '), /before this rollout/)
  clock.advance(16 * minute)
  t.match((await become(another))['job-image'], { status: 'drifted' }, 'after the grace period')
})

t.test('a service that is created again does not hide that the job is behind', async t => {
  const { become } = await watch(t)
  t.match((await become(jobByDigest(imageB)))['job-image'], { status: 'drifted' })
  const young = { uid: 'another', createTime: '-1m', updateTime: '-1m' }
  const after = await become({ ...jobByDigest(imageB), services: { runtime: young } })
  t.match(after['job-image'], { status: 'drifted' })
})

t.test('an address that leads to another server is noticed within `verifyEvery`', async t => {
  // A schedule of once a year allows no shorter time.
  const [hour, year] = [60 * minute, 366 * 24 * 60 * minute]
  const { clock, address, become, cycle } = await watch(t, { verifyEvery: '366d' })
  const other = await startCloudRun({ world: loadWorld(jobByDigest(imageB), clock.now()) })
  t.teardown(() => other.close())
  t.match((await become({}))['job-image'], { status: 'in_sync' })
  address.lead(other.host)
  clock.advance(hour)
  await cycle()
  const connections = address.total()
  clock.advance(year)
  t.match((await cycle())['job-image'], { status: 'drifted', differences: [{ path: 'job.image' }] })
  t.ok(address.total() > connections)
  await until(() => address.open() <= connections)
})
