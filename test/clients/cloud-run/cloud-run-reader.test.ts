import t from 'tap'
import { loadWorld, type WorldPatch } from '../../../sandbox/world.ts'
import type { Job, Service } from '../../../src/release/cloud-run.ts'
import { buildCloudRun, place } from '../../helpers/cloud-run-bench.ts'

const serving = 'runtime-00042-kxb'

t.test('equal reads in one cycle are one request, and a new cycle reads again', async t => {
  const { open, counts } = await buildCloudRun(t)
  const reader = open()
  const [first, second] = await Promise.all([reader.service(place, 'runtime'), reader.service(place, 'runtime')])
  t.equal(first, second)
  t.equal(first?.name, 'runtime')
  t.strictSame(counts(), { GetService: 1 })
  await open().service(place, 'runtime')
  t.strictSame(counts(), { GetService: 1 })
})

t.test('a denied resource does not affect the others', async t => {
  const { open } = await buildCloudRun(t, { faults: [{ method: 'GetJob', code: 'PERMISSION_DENIED' }] })
  const reader = open()
  const [service, job] = await Promise.allSettled([
    reader.service(place, 'runtime'),
    reader.job(place, 'runtime-migrate'),
  ])
  t.equal(service.status, 'fulfilled')
  t.match(job, {
    status: 'rejected',
    reason: { code: 'PERMISSION_DENIED', message: /GetJob for "runtime-migrate" \(openagentsgemini, us-central1\)/ },
  })
})

t.test('a ready revision is cached while its service is unchanged', async t => {
  const { open, counts, emulator } = await buildCloudRun(t)
  const readRevision = async () => {
    const reader = open()
    const service = (await reader.service(place, 'runtime')) as Service
    return reader.revision(place, service, serving)
  }
  await readRevision()
  await readRevision()
  t.strictSame(counts(), { GetService: 2, GetRevision: 1 })

  emulator.setWorld(loadWorld({ services: { runtime: { etag: '"another"' } } }))
  await readRevision()
  t.strictSame(counts(), { GetService: 1, GetRevision: 1 }, 'the service changed')

  emulator.setWorld(
    loadWorld({
      revisions: { [serving]: { conditions: { Ready: { state: 'CONDITION_FAILED' } } } },
      services: { runtime: { etag: '"third"' } },
    }),
  )
  await readRevision()
  const again = await readRevision()
  t.match(
    again?.conditions.find(condition => condition.type === 'Ready'),
    { state: 'failed' },
  )
  t.strictSame(counts(), { GetService: 2, GetRevision: 2 }, 'a revision that is not ready is read again')
})

t.test('a completed execution is read once, a running one in each cycle', async t => {
  const { open, counts, emulator } = await buildCloudRun(t)
  const readExecution = async () => {
    const reader = open()
    return reader.latestExecution(place, (await reader.job(place, 'runtime-migrate')) as Job)
  }
  await readExecution()
  await readExecution()
  t.strictSame(counts(), { GetJob: 2, GetExecution: 1 })
  emulator.setWorld(
    loadWorld({
      executions: { later: { job: 'runtime-migrate', conditions: { Completed: { state: 'CONDITION_RECONCILING' } } } },
      jobs: { 'runtime-migrate': { latestCreatedExecution: { name: 'later', completionStatus: 'EXECUTION_RUNNING' } } },
    }),
  )
  await readExecution()
  await readExecution()
  t.strictSame(counts(), { GetJob: 2, GetExecution: 2 })
})

t.test('a cached execution is read again when its job refers to another one of the same name', async t => {
  const since = Date.now()
  const { open, counts, emulator } = await buildCloudRun(t)
  const name = 'runtime-migrate-h8k4p'
  const become = (job: WorldPatch, execution: WorldPatch) =>
    emulator.setWorld(
      loadWorld({ jobs: { 'runtime-migrate': job }, executions: { [name]: execution } }, Date.now(), since),
    )
  const read = async () => {
    const reader = open()
    return reader.latestExecution(place, (await reader.job(place, 'runtime-migrate')) as Job)
  }
  const readOnce = { GetJob: 1, GetExecution: 1 }
  for (const [what, job, execution] of [
    ['created later', { latestCreatedExecution: { createTime: '-2h' } }, { uid: 'second', createTime: '-2h' }],
    ['another result', { latestCreatedExecution: { completionStatus: 'EXECUTION_FAILED' } }, failed('third')],
    ['another job', { uid: 'another' }, { uid: 'fourth' }],
  ] as const) {
    become({}, {})
    const before = await read()
    counts()
    t.equal(await read(), before, what)
    t.strictSame(counts(), { GetJob: 1 }, `${what}: cached`)
    become(job, execution)
    t.equal((await read())?.uid, execution.uid, what)
    t.strictSame(counts(), readOnce, what)
    t.equal((await read())?.uid, execution.uid)
    t.strictSame(counts(), { GetJob: 1 }, `${what}: cached again`)
  }
  // A response that is older than the reference is not cached.
  become({ latestCreatedExecution: { createTime: '-1h' } }, { uid: 'old' })
  await read()
  become({ latestCreatedExecution: { createTime: '-1h' } }, { uid: 'new', createTime: '-1h' })
  t.equal((await read())?.uid, 'new')
})

function failed(uid: string) {
  return { uid, conditions: { Completed: { state: 'CONDITION_FAILED' } } }
}

t.test('a cached revision is read again when its service may be another one', async t => {
  const since = Date.now()
  const { open, counts, emulator } = await buildCloudRun(t)
  const read = async () => {
    const reader = open()
    return reader.revision(place, (await reader.service(place, 'runtime')) as Service, serving)
  }
  const become = (service: WorldPatch, uid: string) =>
    emulator.setWorld(
      loadWorld({ services: { runtime: service }, revisions: { [serving]: { uid } } }, Date.now(), since),
    )
  for (const [what, before, after] of [
    ['another uid, equal etag', { etag: '"1"' }, { etag: '"1"', uid: 'another' }],
    ['another creation time, equal etag', { etag: '"1"' }, { etag: '"1"', createTime: '-3h' }],
    ['another update, equal etag', { etag: '"1"' }, { etag: '"1"', updateTime: '-3h' }],
    ['no etag', { etag: '' }, { etag: '' }],
  ] as const) {
    become(before, 'first')
    await read()
    counts()
    become(after, 'second')
    t.equal((await read())?.uid, 'second', what)
    t.strictSame(counts(), { GetService: 1, GetRevision: 1 }, what)
  }
})

t.test('the newest revision of a moment is found in any order, and read once', async t => {
  const { open, counts } = await buildCloudRun(t, {}, { order: 'shuffled', maxPageSize: 1 })
  const tenDaysAgo = Date.now() - 10 * 86_400_000
  const service = (await open().service(place, 'runtime')) as Service
  counts()
  const found = await open().newestRevisionAt(place, service, tenDaysAgo)
  t.equal(found?.name, 'runtime-00039-hfm')
  t.equal(counts().ListRevisions, 4)
  t.equal(await open().newestRevisionAt(place, service, tenDaysAgo), found)
  t.strictSame(counts(), {})
  t.equal(await open().newestRevisionAt(place, service, 0), null, 'before the first revision')
  counts()
  for (const another of [{ uid: 'another' }, { createTime: 0 }]) {
    await open().newestRevisionAt(place, { ...service, ...another }, tenDaysAgo)
    t.equal(counts().ListRevisions, 4, 'another service of the same name has other revisions')
  }
})

t.test('a list of revisions that never ends is abandoned long before the quota of its place is used up', async t => {
  const { open, counts } = await buildCloudRun(t, { faults: [{ method: 'ListRevisions', endless: true }] })
  const service = (await open().service(place, 'runtime')) as Service
  await t.rejects(open().newestRevisionAt(place, service, Date.now()), { code: 'MALFORMED_RESPONSE' })
  t.ok((counts().ListRevisions ?? 0) <= 25)
})
