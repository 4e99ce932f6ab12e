import type { grpc } from 'google-gax'
import t, { type Test } from 'tap'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import type { JsonObject } from '../../sandbox/merge-patch.ts'
import { type Monitoring, startMonitoring } from '../../sandbox/monitoring.ts'
import { loadWorld, type WorldPatch } from '../../sandbox/world.ts'
import { createCloudRunClient } from '../../src/clients/cloud-run/cloud-run.ts'
import { createCloudRunReaders } from '../../src/clients/cloud-run/cloud-run-reader.ts'
import { createTelemetryClient } from '../../src/clients/monitoring/telemetry-queries.ts'
import { createTelemetryReaders } from '../../src/clients/monitoring/telemetry-reader.ts'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import { withDeadline } from '../../src/concurrency/deadline.ts'
import type { Stack } from '../../src/config/config.ts'
import { readEnvironment } from '../../src/config/environment.ts'
import { parseConfig } from '../../src/config/load.ts'
import { createStackReaders } from '../../src/probes/stack-reader.ts'
import { createTelemetryProbe } from '../../src/probes/telemetry.ts'
import { windowsOf } from '../../src/release/rollout-telemetry.ts'
import { buildReport, type ReportedCheck } from '../../src/report/report.ts'
import { createWatch, type Watch } from '../../src/watch.ts'
import { noOpenssl } from '../helpers/certificate.ts'
import { createAdvancedClock } from '../helpers/clock.ts'
import { startTlsEndpoint } from '../helpers/tls-endpoint.ts'

const minute = 60_000
const services = ['runtime', 'openagents-control-service']

function buildConfig(override: object = {}, names: readonly string[] = ['runtime']) {
  const stacks = names.map(name => ({
    name,
    project: 'openagentsgemini',
    region: 'us-central1',
    service: { name },
    afterRollout: { services, ...override },
  }))
  return parseConfig(JSON.stringify({ timeout: '5s', stacks }), 'test.yaml', {})
}

interface Setup {
  readonly watch: Watch
  readonly monitoring: Monitoring | null
  readonly clock: ReturnType<typeof createAdvancedClock>
  observe(): Promise<ReportedCheck>
}

async function build(
  t: Test,
  options: { config?: ReturnType<typeof buildConfig>; patch?: WorldPatch; withoutMonitoring?: boolean } = {},
): Promise<Setup> {
  const world = loadWorld(options.patch)
  const emulator = await startCloudRun({ world })
  const clock = createAdvancedClock()
  const monitoring = options.withoutMonitoring
    ? null
    : await startMonitoring({ telemetry: world.telemetry, now: () => clock.now() })
  const watch = createWatch({
    config: options.config ?? buildConfig(),
    environment: readEnvironment({
      CLOUD_RUN_EMULATOR_HOST: emulator.host,
      ...(monitoring && { MONITORING_EMULATOR_HOST: monitoring.host }),
    }),
    clock,
    log: createLog({ level: 'silent', clock: systemClock }),
    only: ['after-rollout'],
  })
  t.teardown(async () => {
    await watch.close()
    await Promise.all([emulator.close(), monitoring?.close()])
  })
  return {
    watch,
    monitoring,
    clock,
    async observe() {
      await watch.runCycle()
      const { stacks } = buildReport(watch.store.snapshot(clock.now()))
      return stacks[0]?.checks[0] as ReportedCheck
    },
  }
}

/** Changes the responses of the runtime from a time on. */
const runtimeFrom = (fromTime: string, rate: JsonObject): WorldPatch => ({
  telemetry: {
    runtime: [
      { fromTime: '-30d', requests: { '2xx': 120 } },
      { fromTime, ...rate },
    ],
  },
})

/** Sets the time of the rollout. */
const rolledOut = (ago: string): WorldPatch => ({
  services: { runtime: { updateTime: ago } },
  revisions: { 'runtime-00042-kxb': { createTime: ago } },
})

const halfTraffic = ['runtime-00041-wpz', 'runtime-00042-kxb'].map(revision => ({
  type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION',
  revision,
  percent: 50,
}))
const split: WorldPatch = { services: { runtime: { traffic: halfTraffic, trafficStatuses: halfTraffic } } }

interface Case {
  readonly patch?: WorldPatch
  readonly config?: object
  readonly finding: object
}

const cases: Record<string, Case> = {
  'is in sync while two services answer as before': {
    finding: {
      status: 'in_sync',
      differences: [],
      error: null,
      summary:
        /^runtime: 1,230 requests, 0 server errors, 0 ERROR logs; openagents-control-service: 400 requests, 0 server errors, 10 ERROR logs \(in the 10 min before \S+Z\)\.$/,
    },
  },
  'drifts on new server errors, and does not count their request logs as ERROR logs': {
    patch: runtimeFrom('-1h', { requests: { '2xx': 100, '5xx': 2 } }),
    finding: {
      status: 'drifted',
      summary:
        /^Service runtime had 20 server errors in the 10 min before \S+Z, and 0 in an equal time before the rollout\.$/,
      differences: [{ path: 'runtime.serverErrors', kind: 'changed', expected: 'at most 0', actual: '20' }],
      fix: /^gcloud logging read 'resource\.type="cloud_run_revision" AND resource\.labels\.service_name="runtime" .* --project openagentsgemini --limit 50$/,
    },
  },
  'drifts on new ERROR logs': {
    patch: runtimeFrom('-1h', { requests: { '2xx': 100 }, errorLogs: 1 }),
    finding: { status: 'drifted', differences: [{ path: 'runtime.errorLogs', expected: 'at most 0', actual: '10' }] },
  },
  'is in sync with no more errors than before': {
    patch: { telemetry: { runtime: [{ fromTime: '-30d', requests: { '2xx': 50, '5xx': 4 }, errorLogs: 5 }] } },
    finding: { status: 'in_sync', differences: [] },
  },
  'does not count the errors of an earlier service of the same name as errors from before the rollout': {
    patch: {
      services: { runtime: { createTime: '-26h1m' } },
      telemetry: { runtime: [{ fromTime: '-30d', requests: { '2xx': 50, '5xx': 4 }, errorLogs: 5 }] },
    },
    finding: { status: 'unknown', error: { code: 'NO_TRAFFIC', message: /no data from before the rollout/ } },
  },
  'is in sync with more errors than before, within the configured limits': {
    patch: runtimeFrom('-1h', { requests: { '2xx': 100, '5xx': 1 }, errorLogs: 2 }),
    config: { maxNewServerErrors: 10, maxNewErrorLogs: 20 },
    finding: { status: 'in_sync' },
  },
  'drifts on one error more than the configured limit': {
    patch: runtimeFrom('-1h', { requests: { '2xx': 100, '5xx': 1 } }),
    config: { maxNewServerErrors: 9 },
    finding: { status: 'drifted', differences: [{ expected: 'at most 9', actual: '10' }] },
  },
  'ignores errors from before the window': {
    patch: {
      telemetry: {
        runtime: [
          { fromTime: '-30d', requests: { '2xx': 120 } },
          { fromTime: '-60m', requests: { '5xx': 9 } },
          { fromTime: '-20m', requests: { '2xx': 120 } },
        ],
      },
    },
    finding: { status: 'in_sync' },
  },
  'is unknown without traffic': {
    patch: runtimeFrom('-1h', { requests: {} }),
    finding: {
      status: 'unknown',
      error: { code: 'NO_TRAFFIC' },
      summary: /^Service runtime had no requests in the 10 min before \S+; at least 1 must be seen to judge it\.$/,
    },
  },
  'is unknown for a service that does not exist': {
    config: { services: ['runtime', 'a-slip-of-the-pen'] },
    finding: { status: 'unknown', error: { code: 'NO_TRAFFIC' }, summary: /a-slip-of-the-pen had no requests/ },
  },
  'is in sync, with a note, without traffic if minRequests is 0': {
    patch: runtimeFrom('-1h', { requests: {} }),
    config: { minRequests: 0 },
    finding: {
      status: 'in_sync',
      summary: /^runtime: 0 requests/,
      notes: [/^Service runtime had no requests in the 10 min before \S+\.$/],
    },
  },
  'drifts on new ERROR logs without traffic': {
    patch: runtimeFrom('-1h', { errorLogs: 1 }),
    finding: { status: 'drifted', error: { code: 'NO_TRAFFIC' }, differences: [{ path: 'runtime.errorLogs' }] },
  },
  'is pending while the rollout has no complete minute': {
    patch: rolledOut('-3m'),
    finding: {
      status: 'pending',
      error: { code: 'TOO_SOON' },
      summary: /^The rollout is 3 min.* old and can be judged after 6 min\.$/,
    },
  },
  'ignores the errors of the previous revision before the rollout': {
    patch: {
      ...rolledOut('-8m'),
      telemetry: {
        runtime: [
          { fromTime: '-30d', requests: { '2xx': 120, '5xx': 5 } },
          { fromTime: '-8m', requests: { '2xx': 120 } },
        ],
      },
    },
    finding: { status: 'in_sync', summary: /0 server errors/ },
  },
  'keeps the window when a service update does not change the serving revision': {
    patch: {
      services: { runtime: { updateTime: '-1m' } },
      ...runtimeFrom('-25h', { requests: { '2xx': 100, '5xx': 2 } }),
    },
    finding: {
      status: 'drifted',
      summary:
        /^Service runtime had 20 server errors in the 10 min before \S+Z, and 0 in an equal time before the rollout\.$/,
    },
  },
  'ignores what the previous revision did in the same minutes': {
    patch: {
      ...rolledOut('-20m'),
      services: { runtime: { updateTime: '-8m' } },
      telemetry: {
        runtime: [
          { fromTime: '-30d', revision: 'runtime-00041-wpz', requests: { '2xx': 120, '5xx': 5 } },
          { fromTime: '-8m', revision: 'runtime-00041-wpz' },
          { fromTime: '-8m', revision: 'runtime-00042-kxb', requests: { '2xx': 120 } },
        ],
      },
    },
    finding: { status: 'in_sync', summary: /^runtime: \d+ requests, 0 server errors/ },
  },
  'is pending after traffic was moved to an older revision': {
    patch: {
      services: { runtime: { updateTime: '-1m' } },
      telemetry: { runtime: [{ fromTime: '-30d', revision: 'runtime-00041-wpz', requests: { '2xx': 120 } }] },
    },
    finding: { status: 'pending', error: { code: 'TOO_SOON' }, summary: /^The rollout is 1 min.* old/ },
  },
  'is in sync, with a note, without a baseline and without errors': {
    patch: { telemetry: { runtime: [{ fromTime: '-1h', requests: { '2xx': 100 } }] } },
    finding: { status: 'in_sync', notes: [/^Service runtime has no data from before the rollout\./] },
  },
  'is unknown with errors but without a baseline': {
    patch: { telemetry: { runtime: [{ fromTime: '-1h', requests: { '2xx': 100, '5xx': 3 } }] } },
    finding: {
      status: 'unknown',
      differences: [],
      error: { code: 'NO_TRAFFIC' },
      summary:
        /^Service runtime had 30 server errors in the 10 min before \S+, but there is no data from before the rollout/,
    },
  },
  'depends on service-image if the service does not exist': {
    patch: { services: { runtime: null } } as unknown as WorldPatch,
    finding: { status: 'unknown', error: { code: 'DEPENDS_ON' } },
  },
  'is unknown if one of two serving revisions has no creation time': {
    patch: {
      ...split,
      ...runtimeFrom('-1h', { requests: { '2xx': 100 } }),
      revisions: { 'runtime-00041-wpz': { createTime: null } },
    },
    finding: { status: 'unknown', differences: [] },
  },
  'is unknown if one of two serving revisions was deleted': {
    patch: { ...split, revisions: { 'runtime-00041-wpz': null } } as unknown as WorldPatch,
    finding: { status: 'unknown', differences: [] },
  },
  'is in sync with two serving revisions of known age': {
    patch: split,
    finding: { status: 'in_sync', differences: [] },
  },
  'depends on service-image if no revision receives traffic': {
    patch: { services: { runtime: { latestReadyRevision: '' } } },
    finding: { status: 'unknown', error: { code: 'DEPENDS_ON' } },
  },
}

for (const [name, { patch, config, finding }] of Object.entries(cases)) {
  t.test(name, async t => {
    const context = await build(t, { ...(patch && { patch }), ...(config && { config: buildConfig(config) }) })
    const found = await context.observe()
    const { differences } = finding as { differences?: readonly unknown[] }
    if (differences) t.equal(found.differences.length, differences.length, 'nothing else differs')
    t.match(found, finding)
  })
}

t.test('the windows are complete whole minutes, of equal length on both sides of the rollout', async t => {
  const noon = Date.UTC(2026, 10, 3, 12)
  const limits = { windowMs: 10 * minute, delayMs: 4 * minute }
  const at = (madeAt: number, readyAt = madeAt) => ({ madeAt, readyAt })
  t.same(windowsOf(at(noon), noon + 3_600_000 + 59_999, limits), {
    after: { from: noon + 46 * minute, to: noon + 56 * minute },
    before: { from: noon - 10 * minute, to: noon },
  })
  t.equal(windowsOf(at(noon), noon + 4 * minute + 59_999, limits), null, 'no complete minute yet')
  t.same(windowsOf(at(noon), noon + 5 * minute, limits), {
    after: { from: noon, to: noon + minute },
    before: { from: noon - minute, to: noon },
  })
  t.same(
    windowsOf(at(noon + 1), noon + 7 * minute, limits),
    {
      after: { from: noon + minute, to: noon + 3 * minute },
      before: { from: noon - 2 * minute, to: noon },
    },
    'the minute of the rollout belongs to neither window',
  )
  t.same(
    windowsOf(at(noon, noon + 90_000), noon + 8 * minute, limits),
    {
      after: { from: noon + 2 * minute, to: noon + 4 * minute },
      before: { from: noon - 2 * minute, to: noon },
    },
    'the minutes between creation and readiness belong to neither window',
  )
})

t.test('a rollout is pending, then judged, until its errors leave the window', async t => {
  const patch = {
    ...rolledOut('-1m'),
    telemetry: {
      runtime: [
        { fromTime: '-30d', requests: { '2xx': 120 } },
        { fromTime: '-1m', requests: { '2xx': 120, '5xx': 1 } },
      ],
    },
  }
  const { observe, clock, monitoring } = await build(t, { patch })
  const statuses: string[] = []
  for (let passed = 0; passed < 24; passed += 2) {
    if (passed === 10)
      monitoring?.setTelemetry({
        ...loadWorld().telemetry,
        runtime: [{ fromTime: '2020-01-01T00:00:00Z', requests: { '2xx': 1 } }],
      })
    statuses.push((await observe()).status)
    clock.advance(2 * minute)
  }
  t.equal(statuses[0], 'pending')
  t.match(statuses.slice(3, 5), ['drifted', 'drifted'])
  t.equal(statuses.at(-1), 'in_sync')
})

t.test(
  'a fleet needs two requests per cycle and project, and one more pair for the time before the rollouts',
  async t => {
    const names = Array.from({ length: 100 }, (_, at) => `runtime-${at}`)
    const healthy = loadWorld()
    const strip = ({ name: _, etag: __, ...rest }: JsonObject) => rest as JsonObject
    const service = strip(Object.values(healthy.services)[0] as JsonObject)
    const revision = strip(Object.values(healthy.revisions)[0] as JsonObject)
    const all = <T>(kind: string, of: (name: string) => T) =>
      Object.fromEntries(names.map(name => [name + kind, of(name)]))
    const patch = {
      services: all('', name => ({
        ...service,
        latestReadyRevision: `${name}-rev`,
        latestCreatedRevision: `${name}-rev`,
      })),
      revisions: all('-rev', name => ({ ...revision, service: name })),
      telemetry: all('', () => [{ fromTime: '-30d', requests: { '2xx': 7 } }]),
    } as unknown as WorldPatch
    const { watch, monitoring, clock } = await build(t, { config: buildConfig({ services: [] }, names), patch })
    const calls = async () => {
      monitoring?.calls.clear()
      await watch.runCycle()
      return monitoring?.calls.counts()
    }
    t.same(await calls(), { ListTimeSeries: 4 })
    const { stacks } = buildReport(watch.store.snapshot(clock.now()))
    t.ok(stacks.every(({ status }) => status === 'in_sync'))
    t.same(await calls(), { ListTimeSeries: 2 }, 'the time before the rollout is cached')
  },
)

t.test('an error of Cloud Monitoring becomes the error of the check', async t => {
  const { observe, monitoring } = await build(t)
  monitoring?.setFaults([{ method: 'ListTimeSeries', code: 'PERMISSION_DENIED' }])
  t.match(await observe(), { status: 'unknown', error: { code: 'PERMISSION_DENIED', message: /ListTimeSeries/ } })
})

t.test('is unknown if Cloud Monitoring is not available beside the Cloud Run emulator', async t => {
  const { observe } = await build(t, { withoutMonitoring: true })
  t.match(await observe(), {
    status: 'unknown',
    error: { code: 'EMULATOR_ABSENT', message: /Cloud Monitoring is not available/ },
  })
})

t.test('a Cloud Monitoring with an untrusted certificate, or that rejects the credentials, is an error', async t => {
  const token = 'an-access-token'
  const world = loadWorld()
  const [cloudRun, monitoring] = await Promise.all([
    startCloudRun({ world }),
    startMonitoring({ telemetry: world.telemetry, token }),
  ])
  const client = createCloudRunClient({ clock: systemClock, emulatorHost: cloudRun.host })
  t.teardown(async () => {
    await client.close()
    await Promise.all([cloudRun.close(), monitoring.close()])
  })
  const [stack] = buildConfig().stacks as [Stack]
  const observe = (emulatorHost: string, channel: grpc.ChannelCredentials) =>
    withDeadline(systemClock, 10_000, undefined, async deadline => {
      const telemetry = createTelemetryClient({ clock: systemClock, emulatorHost, channel })
      const reader = createCloudRunReaders(client, systemClock).open(deadline)
      const counts = createTelemetryReaders(telemetry, systemClock).open(deadline)
      const probe = createTelemetryProbe(createStackReaders().open(reader), counts, systemClock)
      return probe.observe(stack, deadline).finally(() => telemetry.close())
    })
  await t.test('over TLS', { skip: noOpenssl }, async t => {
    const { host, untrusted, trusted } = await startTlsEndpoint(t, monitoring.host)
    await t.rejects(observe(host, untrusted), { code: 'UNAVAILABLE', message: /ListTimeSeries.*certificate/ })
    t.strictSame(monitoring.calls.counts(), {}, 'no request reached it')
    await t.rejects(observe(host, trusted()), { code: 'UNAUTHENTICATED', message: /ListTimeSeries/ })
    await t.rejects(observe(host, trusted('of-another')), { code: 'UNAUTHENTICATED', message: /ListTimeSeries/ })
    t.match(await observe(host, trusted(token)), { services: [{ service: 'runtime' }, {}] })
  })
})
