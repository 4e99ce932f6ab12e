import t from 'tap'
import type { Service } from '../../../src/release/cloud-run.ts'
import { buildCloudRun, fleet, place, readAll } from '../../helpers/cloud-run-bench.ts'

const serving = 'runtime-00042-kxb'

t.test('a fleet is read by pages: the number of calls grows with pages, not with services', async t => {
  const { patch, names } = fleet(100)
  const { open, counts } = await buildCloudRun(t, patch)
  for (const cycle of [1, 2]) {
    const reader = open()
    const found = await Promise.all(names.flatMap(name => [reader.service(place, name), reader.job(place, name)]))
    t.ok(
      found.every(each => each !== null),
      `cycle ${cycle}`,
    )
    t.strictSame(
      counts(),
      { ListServices: 1, ListJobs: 1, GetService: 1, GetJob: 1 },
      'a page each, and a get for the one on the next page',
    )
  }
})

t.test('a few services of many are read by get, because that costs less than a list', async t => {
  const { patch, names } = fleet(60)
  const { open, counts } = await buildCloudRun(t, patch, { maxPageSize: 5 })
  const wanted = names.slice(0, 4)
  await readAll(open(), wanted)
  const { GetService = 0, ListServices = 0 } = counts()
  t.ok(GetService + ListServices <= 2 * wanted.length, `at most twice the gets: ${GetService} + ${ListServices}`)
  await readAll(open(), wanted)
  t.strictSame(counts(), { GetService: 4 }, 'and then the cost is known')
  await readAll(open(), names)
  t.strictSame(counts(), { ListServices: 12, GetService: 1 }, 'for more of them a list costs less')
})

t.test('a resource that a list lacks is absent only if a get returns NOT_FOUND', async t => {
  const { patch, names } = fleet(3)
  const { open, counts } = await buildCloudRun(t, patch)
  const found = await readAll(open(), [...names, 'missing'])
  t.equal(found.at(-1), null)
  t.strictSame(counts(), { ListServices: 1, GetService: 1 })
})

t.test('the order of a list does not matter', async t => {
  const { patch, names } = fleet(30)
  const { open } = await buildCloudRun(t, patch, { order: 'shuffled', maxPageSize: 7 })
  const found = await readAll(open(), names)
  t.strictSame(
    found.map(each => each?.name),
    names,
  )
})

t.test('if lists are denied, resources are read by get, and the list is not retried in every cycle', async t => {
  const { patch, names } = fleet(3)
  const { open, counts } = await buildCloudRun(t, {
    ...patch,
    faults: [{ method: 'List*', code: 'PERMISSION_DENIED' }],
  })
  t.ok((await readAll(open(), names)).every(each => each !== null))
  t.strictSame(counts(), { ListServices: 1, GetService: 3 })
  await readAll(open(), names)
  t.strictSame(counts(), { GetService: 3 })
})

t.test('a failed list does not make its services absent', async t => {
  const { patch, names } = fleet(3)
  const { open, counts } = await buildCloudRun(t, { ...patch, faults: [{ method: 'List*', code: 'UNAVAILABLE' }] })
  const reader = open()
  await Promise.all(names.map(name => t.rejects(reader.service(place, name), { code: 'UNAVAILABLE' })))
  t.notOk(counts().GetService, 'and they are not read by get')
})

t.test('an unparseable resource does not affect the others, is not absent, and makes a complete list fail', async t => {
  const { patch, names } = fleet(30)
  const { open, counts, proxy } = await buildCloudRun(t, patch, { maxPageSize: 10, proxied: true })
  const location = `projects/${place.project}/locations/${place.region}`
  for (const cycle of ['new', 'known']) {
    proxy.spoil([`${location}/services/app-3`])
    const reader = open()
    const [third, ...others] = await Promise.allSettled(
      ['app-3', ...names.filter(name => name !== 'app-3')].map(name => reader.service(place, name)),
    )
    t.match(third, { status: 'rejected', reason: { code: 'MALFORMED_RESPONSE', message: /GetService .*app-3/ } }, cycle)
    t.ok(others.every(other => other.status === 'fulfilled' && other.value !== null))
    t.ok((counts().GetService ?? 0) <= 2)
    await t.rejects(open().services(place), {
      code: 'MALFORMED_RESPONSE',
      message: /services\/app-3: .*invalid wire type/,
    })
    proxy.spoil([])
    t.ok((await open().services(place)).has('app-3'), 'parsed again')
    counts()
  }
  proxy.spoil([`${location}/services/runtime/revisions/${serving}`])
  const service = (await open().service(place, 'runtime')) as Service
  await t.rejects(open().newestRevisionAt(place, service, Date.now()), { code: 'MALFORMED_RESPONSE' })
})

t.test('after an unparseable list each resource is read by get, and the next cycle lists again', async t => {
  const { patch, names } = fleet(5)
  const { open, counts, proxy } = await buildCloudRun(t, patch, { proxied: true })
  for (const fault of ['garbage', 'cut'] as const) {
    proxy.set(fault, 'ListServices')
    for (const _ of [1, 2]) {
      const found = await readAll(open(), [...names, 'missing'])
      t.strictSame(
        found.map(each => each?.name ?? null),
        [...names, null],
      )
      t.strictSame(counts(), { ListServices: 1, GetService: 6 })
    }
    proxy.set(null)
    await readAll(open(), names)
    t.strictSame(counts(), { ListServices: 1 })
  }
})
