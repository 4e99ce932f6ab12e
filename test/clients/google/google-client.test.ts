import type { grpc } from 'google-gax'
import t from 'tap'
import { startCloudRun } from '../../../sandbox/cloud-run.ts'
import { createCloudRunClient } from '../../../src/clients/cloud-run/cloud-run.ts'
import { systemClock } from '../../../src/clock.ts'
import { startDeadline } from '../../../src/concurrency/deadline.ts'
import { DriftwatchError } from '../../../src/errors.ts'
import { noOpenssl } from '../../helpers/certificate.ts'
import { buildCloudRun, place } from '../../helpers/cloud-run-bench.ts'
import { startTlsEndpoint } from '../../helpers/tls-endpoint.ts'

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
