import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { ServicesClient } from '@google-cloud/run/build/src/v2/services_client.js'
import { grpc } from 'google-gax'
import t from 'tap'
import { startCloudRun } from '../../../sandbox/cloud-run.ts'
import { loadWorld } from '../../../sandbox/world.ts'
import { createCloudRunClient } from '../../../src/clients/cloud-run/cloud-run.ts'
import { clientOptions } from '../../../src/clients/google/google-client.ts'
import { createConnectionAge } from '../../../src/clients/http/connection-age.ts'
import { systemClock } from '../../../src/clock.ts'
import { startDeadline } from '../../../src/concurrency/deadline.ts'
import { DriftwatchError } from '../../../src/errors.ts'
import { makeCertificate, noOpenssl } from '../../helpers/certificate.ts'
import { createAdvancedClock } from '../../helpers/clock.ts'
import { buildCloudRun, place } from '../../helpers/cloud-run-bench.ts'
import { startSwitchboard } from '../../helpers/switchboard.ts'
import { startTlsEndpoint } from '../../helpers/tls-endpoint.ts'
import { until } from '../../helpers/until.ts'

const minute = 60_000

t.test('a retryable error is retried within the deadline', async t => {
  const { open, counts } = await buildCloudRun(t, { faults: [{ method: 'GetService', code: 'UNAVAILABLE', times: 2 }] })
  t.equal((await open().service(place, 'runtime'))?.name, 'runtime')
  t.strictSame(counts(), { GetService: 3 })
})

t.test('a denied request is not retried', async t => {
  const { open, counts } = await buildCloudRun(t, { faults: [{ method: 'GetService', code: 'PERMISSION_DENIED' }] })
  await t.rejects(open().service(place, 'runtime'), { code: 'PERMISSION_DENIED' })
  t.strictSame(counts(), { GetService: 1 })
})

t.test('a request without a response is abandoned at the deadline, and the error names it', async t => {
  const { open } = await buildCloudRun(t, { faults: [{ method: 'GetService', hang: true }] })
  await t.rejects(open(200).service(place, 'runtime'), {
    code: 'DEADLINE_EXCEEDED',
    message: /^Cloud Run did not respond to GetService for "runtime" \(openagentsgemini, us-central1\) within \d+ ms$/,
  })
})

t.test('without a server a request fails in time', async t => {
  const { open, emulator } = await buildCloudRun(t)
  await emulator.close()
  const error = await open(500)
    .service(place, 'runtime')
    .catch((thrown: unknown) => thrown)
  t.ok(error instanceof DriftwatchError)
  t.match(error, { code: /^(UNAVAILABLE|DEADLINE_EXCEEDED)$/ })
})

t.test('a server with an untrusted certificate is UNAVAILABLE and receives nothing', { skip: noOpenssl }, async t => {
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

t.test('a connection is replaced at its maximum age, so that an address that leads elsewhere is noticed', async t => {
  const worlds = ['"first"', '"second"'].map(etag => loadWorld({ services: { runtime: { etag } } }))
  const [first, second] = await Promise.all(worlds.map(world => startCloudRun({ world })))
  t.teardown(() => Promise.all([first?.close(), second?.close()]))
  const address = await startSwitchboard(t, first?.host ?? '')
  const clock = createAdvancedClock()
  const client = createCloudRunClient({ clock, emulatorHost: address.host })
  t.teardown(() => client.close())
  const name = `projects/${place.project}/locations/${place.region}/services/runtime`
  const etag = async () => (await client.services.get(name, startDeadline(clock, 10_000)))?.etag

  t.equal(await etag(), '"first"')
  address.lead(second?.host ?? '')
  clock.advance(7 * minute)
  t.equal(await etag(), '"first"')
  t.equal(address.total(), 1, 'no connection is replaced early')
  clock.advance(3 * minute)
  t.equal(await etag(), '"second"')
  t.equal(await etag(), '"second"')
  t.equal(address.total(), 2)
  await until(() => address.open() === 1)
})

t.test(
  'the maximum age applies as it is when a request is sent, and a request in progress keeps its connection',
  async t => {
    const world = loadWorld({ faults: [{ method: 'GetJob', latencyMs: 200 }] })
    const emulator = await startCloudRun({ world })
    t.teardown(() => emulator.close())
    const address = await startSwitchboard(t, emulator.host)
    const clock = createAdvancedClock()
    let maxAgeMs = 60 * minute
    const client = createCloudRunClient({
      clock,
      emulatorHost: address.host,
      connectionAge: createConnectionAge(clock, () => maxAgeMs),
    })
    t.teardown(() => client.close())
    const parent = `projects/${place.project}/locations/${place.region}`
    const deadline = startDeadline(clock, 60 * minute)
    const get = () => client.jobs.get(`${parent}/jobs/runtime-migrate`, deadline)
    const slow = get()
    await until(() => emulator.calls.all.length === 1)
    clock.advance(10 * minute)
    maxAgeMs = 10 * minute
    t.match(await Promise.all([slow, get()]), [{ name: 'runtime-migrate' }, { name: 'runtime-migrate' }])
    t.equal(address.total(), 2)
    await until(() => address.open() === 1)
  },
)

t.test('a connection on which the server is silent ends with its client', async t => {
  const deadline = () => startDeadline(systemClock, 300)
  const name = `projects/${place.project}/locations/${place.region}/services/runtime`

  await t.test('before the TLS handshake, with the channel for Google', async t => {
    const sockets: Socket[] = []
    const server = createServer(socket => sockets.push(socket.on('error', () => {}).resume()))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => server.close())
    const credentials = { accessToken: async () => 'token', requestHeaders: async () => new Headers() }
    const { port } = server.address() as AddressInfo
    const options = clientOptions(null, 1024, credentials)
    const client = new ServicesClient({ ...options, apiEndpoint: '127.0.0.1', port })
    await t.rejects(client.getService({ name }, { timeout: 300, retry: null }))
    await client.close()
    await Promise.all(sockets.map(socket => socket.destroyed || once(socket, 'close')))
    t.equal(sockets.length, 1)
  })

  await t.test('after the TLS handshake', { skip: noOpenssl }, async t => {
    const { ca, key, cert } = await makeCertificate(t.testdir())
    const sockets: Socket[] = []
    const server = createTlsServer({ key, cert, ALPNProtocols: ['h2'] }, socket => {
      sockets.push(socket.on('error', () => {}).resume())
    })
    await once(server.listen(0, 'localhost'), 'listening')
    t.teardown(() => server.close())
    const emulatorHost = `localhost:${(server.address() as AddressInfo).port}`
    const channel = grpc.credentials.createSsl(Buffer.from(ca))
    const client = createCloudRunClient({ clock: systemClock, emulatorHost, channel })
    await t.rejects(client.services.get(name, deadline()), { code: 'DEADLINE_EXCEEDED' })
    await client.close()
    t.ok(sockets.length > 0)
    await Promise.all(sockets.map(socket => socket.destroyed || once(socket, 'close')))
  })
})
