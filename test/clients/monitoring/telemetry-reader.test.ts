import t from 'tap'
import { startMonitoring } from '../../../sandbox/monitoring.ts'
import { createTelemetryClient } from '../../../src/clients/monitoring/telemetry-queries.ts'
import { createTelemetryReaders } from '../../../src/clients/monitoring/telemetry-reader.ts'
import { systemClock } from '../../../src/clock.ts'
import { startDeadline } from '../../../src/concurrency/deadline.ts'

const place = { project: 'acme-production', region: 'us-central1' }
const minute = 60_000

t.test('services of one place are counted with two requests, and final counts are not read again', async t => {
  const to = Math.floor(Date.now() / minute) * minute - 10 * minute
  const from = to - 10 * minute
  const fromTime = new Date(from - minute).toISOString()
  const telemetry = {
    runtime: [{ fromTime, requests: { '2xx': 100, '5xx': 2 }, errorLogs: 1 }],
    control: [{ fromTime, requests: { '2xx': 40 } }],
  }
  const monitoring = await startMonitoring({ telemetry })
  const client = createTelemetryClient({ clock: systemClock, emulatorHost: monitoring.host })
  t.teardown(async () => {
    await client.close()
    await monitoring.close()
  })
  const readers = createTelemetryReaders(client, systemClock)
  const read = async (settled: boolean) => {
    const reader = readers.open(startDeadline(systemClock, 10_000))
    const window = { place, from, to, revisions: null, settled }
    monitoring.calls.clear()
    const counts = await Promise.all(['runtime', 'control'].map(service => reader.counts({ ...window, service })))
    return { counts, calls: monitoring.calls.counts() }
  }
  const counts = [
    { requests: 1020, serverErrors: 20, errorLogs: 10 },
    { requests: 400, serverErrors: 0, errorLogs: 0 },
  ]
  t.strictSame(await read(false), { counts, calls: { ListTimeSeries: 2 } })
  t.strictSame(await read(true), { counts, calls: { ListTimeSeries: 2 } }, 'counts that may change are not cached')
  t.strictSame(await read(true), { counts, calls: {} })
})
