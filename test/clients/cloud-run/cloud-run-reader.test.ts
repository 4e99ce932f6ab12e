import t from 'tap'
import { loadWorld } from '../../../sandbox/world.ts'
import type { Service } from '../../../src/release/cloud-run.ts'
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
  const readExecution = () => open().execution(place, 'runtime-migrate', 'runtime-migrate-h8k4p')
  await readExecution()
  await readExecution()
  t.strictSame(counts(), { GetExecution: 1 })
  emulator.setWorld(
    loadWorld({
      executions: { later: { job: 'runtime-migrate', conditions: { Completed: { state: 'CONDITION_RECONCILING' } } } },
    }),
  )
  await open().execution(place, 'runtime-migrate', 'later')
  await open().execution(place, 'runtime-migrate', 'later')
  t.strictSame(counts(), { GetExecution: 2 })
})

t.test('the newest revision of a moment is found in any order, and read once', async t => {
  const { open, counts } = await buildCloudRun(t, {}, { order: 'shuffled', maxPageSize: 1 })
  const tenDaysAgo = Date.now() - 10 * 86_400_000
  const found = await open().newestRevisionAt(place, 'runtime', tenDaysAgo)
  t.equal(found?.name, 'runtime-00039-hfm')
  t.equal(counts().ListRevisions, 4)
  t.equal(await open().newestRevisionAt(place, 'runtime', tenDaysAgo), found)
  t.strictSame(counts(), {})
  t.equal(await open().newestRevisionAt(place, 'runtime', 0), null, 'before the first revision')
})

t.test('a list of revisions that never ends is abandoned long before the quota of its place is used up', async t => {
  const { open, counts } = await buildCloudRun(t, { faults: [{ method: 'ListRevisions', endless: true }] })
  await t.rejects(open().newestRevisionAt(place, 'runtime', Date.now()), { code: 'MALFORMED_RESPONSE' })
  t.ok((counts().ListRevisions ?? 0) <= 25)
})
