import { once } from 'node:events'
import { constants, createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { ServicesClient } from '@google-cloud/run/build/src/v2/services_client.js'
import { grpc } from 'google-gax'
import t, { type Test } from 'tap'
import { type CloudRun, startCloudRun } from '../../../sandbox/cloud-run.ts'
import { loadWorld, type WorldPatch } from '../../../sandbox/world.ts'
import { createCloudRunClient, longestAnswerBytes } from '../../../src/clients/cloud-run/cloud-run.ts'
import { type CloudRunReader, createCloudRunReaders } from '../../../src/clients/cloud-run/cloud-run-reader.ts'
import { clientOptions } from '../../../src/clients/google/google-client.ts'
import { type CachedResource, createResponseCache } from '../../../src/clients/google/response-cache.ts'
import { systemClock } from '../../../src/clock.ts'
import { startDeadline, withDeadline } from '../../../src/concurrency/deadline.ts'
import { DriftwatchError } from '../../../src/errors.ts'
import type { Service } from '../../../src/release/cloud-run.ts'
import { noOpenssl } from '../../helpers/certificate.ts'
import { type GrpcProxy, startGrpcProxy } from '../../helpers/grpc-proxy.ts'
import { startTlsEndpoint } from '../../helpers/tls-endpoint.ts'

const place = { project: 'openagentsgemini', region: 'us-central1' }
const serving = 'runtime-00042-kxb'

interface Bench {
  readonly emulator: CloudRun
  /** Between the two, where it is asked for. */
  readonly proxy: GrpcProxy
  /** A reader of the next cycle. */
  open(timeoutMs?: number): CloudRunReader
  /** The requests since the last time. */
  counts(): Record<string, number>
}

async function build(
  t: Test,
  patch: WorldPatch = {},
  options: { maxPageSize?: number; order?: 'newest-first' | 'shuffled'; proxied?: boolean } = {},
): Promise<Bench> {
  const emulator = await startCloudRun({ world: loadWorld(patch), ...options })
  const proxy = await startGrpcProxy(() => emulator.host)
  const emulatorHost = options.proxied ? `127.0.0.1:${proxy.port}` : emulator.host
  const client = createCloudRunClient({ clock: systemClock, emulatorHost })
  t.teardown(async () => {
    await client.close()
    await proxy.close()
    await emulator.close()
  })
  const readers = createCloudRunReaders({ client, clock: systemClock })
  return {
    emulator,
    proxy,
    open: (timeoutMs = 5000) => readers.open(startDeadline(systemClock, timeoutMs)),
    counts() {
      const counts = emulator.calls.counts()
      emulator.calls.clear()
      return counts
    },
  }
}

/** So many services with their jobs, all like the healthy one. */
function fleet(size: number): { patch: WorldPatch; names: string[] } {
  const names = Array.from({ length: size }, (_, index) => `app-${index}`)
  const healthy = loadWorld()
  const [service] = Object.values(healthy.services)
  const [job] = Object.values(healthy.jobs)
  const copy = (resource: object | undefined) => ({ ...resource, name: undefined })
  const without = (resource: object | undefined) => JSON.parse(JSON.stringify(copy(resource)))
  return {
    names,
    patch: {
      services: Object.fromEntries(names.map(name => [name, without(service)])),
      jobs: Object.fromEntries(names.map(name => [name, without(job)])),
    },
  }
}

t.test('equal reads of one cycle are one request, and a new cycle looks again', async t => {
  const { open, counts } = await build(t)
  const reader = open()
  const [first, second] = await Promise.all([reader.service(place, 'runtime'), reader.service(place, 'runtime')])
  t.equal(first, second)
  t.equal(first?.name, 'runtime')
  t.strictSame(counts(), { GetService: 1 })
  await open().service(place, 'runtime')
  t.strictSame(counts(), { GetService: 1 })
})

t.test('a fleet is read by pages: the calls grow with pages, not with services', async t => {
  const { patch, names } = fleet(100)
  const { open, counts } = await build(t, patch)
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
      'a page each, and the one that is on the next',
    )
  }
})

t.test('a few of many are read one by one, since that costs less than their list', async t => {
  const { patch, names } = fleet(60)
  const { open, counts } = await build(t, patch, { maxPageSize: 5 })
  const wanted = names.slice(0, 4)
  await readAll(open(), wanted)
  const { GetService = 0, ListServices = 0 } = counts()
  t.ok(GetService + ListServices <= 2 * wanted.length, `at most twice the gets: ${GetService} + ${ListServices}`)
  await readAll(open(), wanted)
  t.strictSame(counts(), { GetService: 4 }, 'and then it is known')
  await readAll(open(), names)
  t.strictSame(counts(), { ListServices: 12, GetService: 1 }, 'more of them are worth a list again')
})

t.test('what comes in the same bytes as before is the very object of before, by list and by get', async t => {
  const { patch, names } = fleet(30)
  const { emulator, open } = await build(t, patch, { maxPageSize: 10, order: 'shuffled' })
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
  const anew = createCloudRunReaders({ client: fresh, clock: systemClock }).open(startDeadline(systemClock, 5000))
  t.strictSame(
    sorted(after.services),
    sorted(await anew.services(place)),
    'and all is what a client sees that keeps nothing',
  )
})

t.test('a label may be called as objects call what they have', async t => {
  const { patch } = fleet(3)
  const services = patch.services as Record<string, object>
  const world = (uid: string) => {
    const labels = JSON.parse('{ "toString": "1", "valueOf": "2", "constructor": "3", "__proto__": "4" }')
    return loadWorld({ services: { ...services, 'app-1': { ...services['app-1'], uid, labels } } } as WorldPatch)
  }
  const { emulator, open } = await build(t)
  // Other bytes, in which nothing differs that is read: then it is compared.
  for (const uid of ['1', '2']) {
    emulator.setWorld(world(uid))
    const found = (await open().services(place)).get('app-1')
    t.equal(Object.entries(found?.labels ?? {}).find(([name]) => name === 'toString')?.[1], '1')
  }
})

t.test('what is known is not translated again, whatever else is on its page', async t => {
  const { patch, names } = fleet(12)
  const services: Record<string, object | null> = { ...(patch.services as Record<string, object>), runtime: null }
  const { emulator } = await build(t, { services } as WorldPatch)
  const client = new ServicesClient(clientOptions(emulator.host, longestAnswerBytes, null))
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

t.test('what a list does not hold is absent only when a get says so', async t => {
  const { patch, names } = fleet(3)
  const { open, counts } = await build(t, patch)
  const found = await readAll(open(), [...names, 'nobody'])
  t.equal(found.at(-1), null)
  t.strictSame(counts(), { ListServices: 1, GetService: 1 })
})

t.test('lists in any order give the same', async t => {
  const { patch, names } = fleet(30)
  const { open } = await build(t, patch, { order: 'shuffled', maxPageSize: 7 })
  const found = await readAll(open(), names)
  t.strictSame(
    found.map(each => each?.name),
    names,
  )
})

t.test('who may not list still gets, and is not asked to list in every cycle', async t => {
  const { patch, names } = fleet(3)
  const { open, counts } = await build(t, { ...patch, faults: [{ method: 'List*', code: 'PERMISSION_DENIED' }] })
  t.ok((await readAll(open(), names)).every(each => each !== null))
  t.strictSame(counts(), { ListServices: 1, GetService: 3 })
  await readAll(open(), names)
  t.strictSame(counts(), { GetService: 3 })
})

t.test('a list that fails is no reason to believe that its services are gone', async t => {
  const { patch, names } = fleet(3)
  const { open, counts } = await build(t, { ...patch, faults: [{ method: 'List*', code: 'UNAVAILABLE' }] })
  const reader = open()
  await Promise.all(names.map(name => t.rejects(reader.service(place, name), { code: 'UNAVAILABLE' })))
  t.notOk(counts().GetService, 'nor to ask for each of them')
})

t.test(
  'one that cannot be read on its page costs no other, and is neither gone nor left out of a whole list',
  async t => {
    const { patch, names } = fleet(30)
    const { open, counts, proxy } = await build(t, patch, { maxPageSize: 10, proxied: true })
    const location = `projects/${place.project}/locations/${place.region}`
    for (const cycle of ['new', 'known']) {
      proxy.spoil([`${location}/services/app-3`])
      const reader = open()
      const [third, ...others] = await Promise.allSettled(
        ['app-3', ...names.filter(name => name !== 'app-3')].map(name => reader.service(place, name)),
      )
      t.match(
        third,
        { status: 'rejected', reason: { code: 'MALFORMED_RESPONSE', message: /GetService .*app-3/ } },
        cycle,
      )
      t.ok(others.every(other => other.status === 'fulfilled' && other.value !== null))
      t.ok((counts().GetService ?? 0) <= 2)
      await t.rejects(open().services(place), {
        code: 'MALFORMED_RESPONSE',
        message: /services\/app-3: invalid wire type/,
      })
      proxy.spoil([])
      t.ok((await open().services(place)).has('app-3'), 'mended')
      counts()
    }
    proxy.spoil([`${location}/services/runtime/revisions/${serving}`])
    await t.rejects(open().newestRevisionAt(place, 'runtime', Date.now()), { code: 'MALFORMED_RESPONSE' })
  },
)

t.test('where a list cannot be read at all each is read by itself, and the list again in the next cycle', async t => {
  const { patch, names } = fleet(5)
  const { open, counts, proxy } = await build(t, patch, { proxied: true })
  for (const fault of ['garbage', 'cut'] as const) {
    proxy.set(fault, 'ListServices')
    for (const _ of [1, 2]) {
      const found = await readAll(open(), [...names, 'nobody'])
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

t.test('one that may not be read does not keep the others from being read', async t => {
  const { open } = await build(t, { faults: [{ method: 'GetJob', code: 'PERMISSION_DENIED' }] })
  const reader = open()
  const [service, job] = await Promise.allSettled([
    reader.service(place, 'runtime'),
    reader.job(place, 'runtime-migrate'),
  ])
  t.equal(service.status, 'fulfilled')
  t.match(job, {
    status: 'rejected',
    reason: { code: 'PERMISSION_DENIED', message: /GetJob projects\/openagentsgemini/ },
  })
})

t.test('a revision is kept while its service stays as it is', async t => {
  const { open, counts, emulator } = await build(t)
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
  t.strictSame(counts(), { GetService: 2, GetRevision: 2 }, 'one that is not ready may become so unseen')
})

t.test('a completed execution is read once, a running one in each cycle', async t => {
  const { open, counts, emulator } = await build(t)
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

t.test('the newest revision of a moment is found in any order, and asked for once', async t => {
  const { open, counts } = await build(t, {}, { order: 'shuffled', maxPageSize: 1 })
  const tenDaysAgo = Date.now() - 10 * 86_400_000
  const found = await open().newestRevisionAt(place, 'runtime', tenDaysAgo)
  t.equal(found?.name, 'runtime-00039-hfm')
  t.equal(counts().ListRevisions, 4)
  t.equal(await open().newestRevisionAt(place, 'runtime', tenDaysAgo), found)
  t.strictSame(counts(), {})
  t.equal(await open().newestRevisionAt(place, 'runtime', 0), null, 'before there was any')
})

t.test('revisions whose pages have no end are given up, long before the quota of their place is spent', async t => {
  const { open, counts } = await build(t, { faults: [{ method: 'ListRevisions', endless: true }] })
  await t.rejects(open().newestRevisionAt(place, 'runtime', Date.now()), { code: 'MALFORMED_RESPONSE' })
  t.ok((counts().ListRevisions ?? 0) <= 25)
})

t.test('a passing failure is tried again within the deadline', async t => {
  const { open, counts } = await build(t, { faults: [{ method: 'GetService', code: 'UNAVAILABLE', times: 2 }] })
  t.equal((await open().service(place, 'runtime'))?.name, 'runtime')
  t.strictSame(counts(), { GetService: 3 })
})

t.test('a refusal is not tried again', async t => {
  const { open, counts } = await build(t, { faults: [{ method: 'GetService', code: 'PERMISSION_DENIED' }] })
  await t.rejects(open().service(place, 'runtime'), { code: 'PERMISSION_DENIED' })
  t.strictSame(counts(), { GetService: 1 })
})

t.test('an API that hangs is given up at the deadline', async t => {
  const { open } = await build(t, { faults: [{ method: 'GetService', hang: true }] })
  await t.rejects(open(200).service(place, 'runtime'), { code: 'DEADLINE_EXCEEDED' })
})

t.test('nobody listens: unavailable, with the request that failed', async t => {
  const { open, emulator } = await build(t)
  await emulator.close()
  const error = await open(500)
    .service(place, 'runtime')
    .catch((thrown: unknown) => thrown)
  t.ok(error instanceof DriftwatchError)
  t.match(error, { code: /^(UNAVAILABLE|DEADLINE_EXCEEDED)$/ })
})

function readAll(reader: CloudRunReader, names: readonly string[]): Promise<(Service | null)[]> {
  return Promise.all(names.map(name => reader.service(place, name)))
}

t.test('an API that nobody vouches for is UNAVAILABLE, and told nothing', { skip: noOpenssl }, async t => {
  const emulator = await startCloudRun()
  t.teardown(() => emulator.close())
  const { host: emulatorHost, untrusted, trusted } = await startTlsEndpoint(t, emulator.host)
  const look = async (channel: grpc.ChannelCredentials) => {
    const client = createCloudRunClient({ clock: systemClock, emulatorHost, channel })
    const name = `projects/${place.project}/locations/${place.region}/services/runtime`
    return client.services.get(name, startDeadline(systemClock, 10_000)).finally(() => client.close())
  }
  await t.rejects(look(untrusted), { code: 'UNAVAILABLE', message: /certificate/ })
  t.strictSame(emulator.calls.counts(), {})
  t.match(await look(trusted()), { name: 'runtime' })
})

t.test('who is told to be calm looks over another connection; a quota is no reason for one', async t => {
  const rounds: Record<
    string,
    { answer(stream: ServerHttp2Stream): void; looks: readonly unknown[]; sessions: number }
  > = {
    'GOAWAY, calm': {
      answer: ({ session }) => session?.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from('too_many_pings')),
      looks: [null, null],
      sessions: 2,
    },
    'RST_STREAM, calm, for whatever comes over the connection': {
      answer: stream => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM),
      looks: [null, null],
      sessions: 2,
    },
    'the quota of the server': {
      answer: stream => refuse(stream, grpc.status.RESOURCE_EXHAUSTED, 'Quota exceeded'),
      looks: ['RESOURCE_EXHAUSTED', 'RESOURCE_EXHAUSTED'],
      sessions: 1,
    },
  }
  for (const [name, { answer, looks, sessions }] of Object.entries(rounds)) {
    const opened: ServerHttp2Session[] = []
    const server = createServer().on('session', session => opened.push(session.on('error', () => {})))
    server.on('stream', stream => {
      stream.on('error', () => {})
      if (stream.session === opened[0]) answer(stream)
      else refuse(stream, grpc.status.NOT_FOUND, 'there is none')
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const emulatorHost = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const client = createCloudRunClient({ clock: systemClock, emulatorHost })
    const look = () =>
      withDeadline(systemClock, 10_000, undefined, deadline =>
        client.services.get('projects/p/locations/l/services/s', deadline).catch(({ code }) => code),
      )
    t.strictSame([await look(), await look()], looks, name)
    t.equal(opened.length, sessions, name)
    await client.close()
    const closed = once(server, 'close')
    server.close()
    for (const session of opened) session.destroy()
    await closed
  }
})

function refuse(stream: ServerHttp2Stream, status: number, message: string): void {
  const head = { ':status': 200, 'content-type': 'application/grpc' }
  stream.respond({ ...head, 'grpc-status': String(status), 'grpc-message': message }, { endStream: true })
}

function sorted<T>(found: ReadonlyMap<string, T>): (readonly [string, T])[] {
  return [...found].toSorted(([one], [other]) => (one < other ? -1 : 1))
}
