import { ServicesClient } from '@google-cloud/run/build/src/v2/services_client.js'
import t from 'tap'
import { loadWorld, type WorldPatch } from '../../../sandbox/world.ts'
import { createCloudRunClient, maxResponseBytes } from '../../../src/clients/cloud-run/cloud-run.ts'
import { createCloudRunReaders } from '../../../src/clients/cloud-run/cloud-run-reader.ts'
import { clientOptions } from '../../../src/clients/google/google-client.ts'
import { type CachedResource, createResponseCache } from '../../../src/clients/google/response-cache.ts'
import { systemClock } from '../../../src/clock.ts'
import { startDeadline } from '../../../src/concurrency/deadline.ts'
import { buildCloudRun, fleet, place } from '../../helpers/cloud-run-bench.ts'

t.test('a resource whose bytes have not changed is the same object, by list and by get', async t => {
  const { patch, names } = fleet(30)
  const { emulator, open } = await buildCloudRun(t, patch, { maxPageSize: 10, order: 'shuffled' })
  const readBoth = async () => {
    const [services, jobs] = await Promise.all([open().services(place), open().jobs(place)])
    return { services, jobs }
  }
  const before = await readBoth()
  const still = await readBoth()
  t.ok(names.every(name => still.services.get(name) === before.services.get(name)))
  t.ok(names.every(name => still.jobs.get(`${name}`) === before.jobs.get(`${name}`)))
  t.equal(await open().service(place, 'app-4'), before.services.get('app-4'), 'a get too')

  const services = patch.services as Record<string, object>
  const changed = { 'app-3': { ...services['app-3'], etag: '"another"' }, 'app-5': null, late: services['app-6'] }
  emulator.setWorld(loadWorld({ ...patch, services: { ...services, ...changed } } as WorldPatch))
  const after = await readBoth()
  t.equal(after.services.get('app-3')?.etag, '"another"')
  t.notOk(after.services.has('app-5'))
  t.ok(after.services.has('late'))
  const untouched = names.filter(name => name !== 'app-3' && name !== 'app-5')
  t.ok(untouched.every(name => after.services.get(name) === before.services.get(name)))
  const fresh = createCloudRunClient({ clock: systemClock, emulatorHost: emulator.host })
  t.teardown(() => fresh.close())
  const anew = createCloudRunReaders(fresh, systemClock).open(startDeadline(systemClock, 5000))
  t.strictSame(
    sorted(after.services),
    sorted(await anew.services(place)),
    'equal to what a client without a cache reads',
  )
})

t.test('labels may have the names of object properties', async t => {
  const { patch } = fleet(3)
  const services = patch.services as Record<string, object>
  const world = (uid: string) => {
    const labels = JSON.parse('{ "toString": "1", "valueOf": "2", "constructor": "3", "__proto__": "4" }')
    return loadWorld({ services: { ...services, 'app-1': { ...services['app-1'], uid, labels } } } as WorldPatch)
  }
  const { emulator, open } = await buildCloudRun(t)
  // The bytes differ only in a field that Driftwatch does not read, so that the objects are compared.
  for (const uid of ['1', '2']) {
    emulator.setWorld(world(uid))
    const found = (await open().services(place)).get('app-1')
    t.equal(Object.entries(found?.labels ?? {}).find(([name]) => name === 'toString')?.[1], '1')
  }
})

t.test('a cached resource is not translated again, even if others on its page change', async t => {
  const { patch, names } = fleet(12)
  const services: Record<string, object | null> = { ...(patch.services as Record<string, object>), runtime: null }
  const { emulator } = await buildCloudRun(t, { services } as WorldPatch)
  const client = new ServicesClient(clientOptions(emulator.host, maxResponseBytes, null))
  t.teardown(() => client.close())
  const translated: string[] = []
  const answers = createResponseCache({
    field: 'services',
    maxBytes: 100_000,
    translate({ name, etag }: { name?: string | null; etag?: string | null }) {
      translated.push(name?.split('/').at(-1) ?? '')
      return { etag }
    },
  })
  const parent = 'projects/openagentsgemini/locations/us-central1'
  async function read() {
    const [arrivals, , page] = await client.listServices({ parent }, { ...answers.page(), autoPaginate: false })
    for (const { decode: take } of arrivals as unknown as CachedResource<object>[]) take()
    t.equal((page as { nextPageToken?: string }).nextPageToken, '')
    return translated.splice(0).toSorted()
  }
  t.strictSame(await read(), names.toSorted())
  t.strictSame(await read(), [])
  const changed = { 'app-7': { ...services['app-7'], etag: '"1"' } }
  emulator.setWorld(loadWorld({ services: { ...services, ...changed } } as WorldPatch))
  t.strictSame(await read(), ['app-7'])
  await client.getService({ name: `${parent}/services/app-8` }, answers.one())
  t.strictSame(translated, [])
})

function sorted<T>(found: ReadonlyMap<string, T>): (readonly [string, T])[] {
  return [...found].toSorted(([one], [other]) => (one < other ? -1 : 1))
}
