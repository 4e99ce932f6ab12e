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

interface Bench {
  readonly watch: Watch
  readonly monitoring: Monitoring | null
  readonly clock: ReturnType<typeof createAdvancedClock>
  look(): Promise<ReportedCheck>
}

async function build(
  t: Test,
  options: { config?: ReturnType<typeof buildConfig>; patch?: WorldPatch; withoutMonitoring?: boolean } = {},
): Promise<Bench> {
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
    async look() {
      await watch.runCycle()
      const { stacks } = buildReport(watch.store.snapshot(clock.now()))
      return stacks[0]?.checks[0] as ReportedCheck
    },
  }
}

/** The runtime answers like this from a time on, and before as it does in the healthy world. */
const runtimeFrom = (fromTime: string, rate: JsonObject): WorldPatch => ({
  telemetry: {
    runtime: [
      { fromTime: '-30d', requests: { '2xx': 120 } },
      { fromTime, ...rate },
    ],
  },
})

/** The service was rolled out so long ago. */
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
  'two services that answer as before': {
    finding: {
      status: 'in_sync',
      differences: [],
      error: null,
      summary:
        /^runtime answered 1230 requests, 0 with 5xx, 0 ERROR logs; openagents-control-service answered 400 requests, 0 with 5xx, 10 ERROR logs: in the 10m up to /,
    },
  },
  'new 500s, and their ERROR logs are not counted twice': {
    patch: runtimeFrom('-1h', { requests: { '2xx': 100, '5xx': 2 } }),
    finding: {
      status: 'drifted',
      summary: /^runtime: 20 5xx responses in the 10m up to \S+Z, 0 in as long before the rollout$/,
      differences: [{ path: 'runtime.serverErrors', kind: 'changed', expected: 'at most 0', actual: '20' }],
      fix: /^gcloud logging read 'resource\.type="cloud_run_revision" AND resource\.labels\.service_name="runtime" .* --project openagentsgemini --limit 50$/,
    },
  },
  'new ERROR logs': {
    patch: runtimeFrom('-1h', { requests: { '2xx': 100 }, errorLogs: 1 }),
    finding: { status: 'drifted', differences: [{ path: 'runtime.errorLogs', expected: 'at most 0', actual: '10' }] },
  },
  'no more errors than there were before': {
    patch: { telemetry: { runtime: [{ fromTime: '-30d', requests: { '2xx': 50, '5xx': 4 }, errorLogs: 5 }] } },
    finding: { status: 'in_sync', differences: [] },
  },
  'more errors than before, and not more than the config allows': {
    patch: runtimeFrom('-1h', { requests: { '2xx': 100, '5xx': 1 }, errorLogs: 2 }),
    config: { maxNewServerErrors: 10, maxNewErrorLogs: 20 },
    finding: { status: 'in_sync' },
  },
  'one more than the config allows': {
    patch: runtimeFrom('-1h', { requests: { '2xx': 100, '5xx': 1 } }),
    config: { maxNewServerErrors: 9 },
    finding: { status: 'drifted', differences: [{ expected: 'at most 9', actual: '10' }] },
  },
  'errors that are over': {
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
  'no traffic is not called healthy': {
    patch: runtimeFrom('-1h', { requests: {} }),
    finding: {
      status: 'unknown',
      error: { code: 'NO_TRAFFIC' },
      summary: /^runtime: no traffic in the 10m up to \S+, at least 1 would prove something$/,
    },
  },
  'a service that nobody knows has no traffic': {
    config: { services: ['runtime', 'a-slip-of-the-pen'] },
    finding: { status: 'unknown', error: { code: 'NO_TRAFFIC' }, summary: /a-slip-of-the-pen: no traffic/ },
  },
  'no traffic that the config allows is said': {
    patch: runtimeFrom('-1h', { requests: {} }),
    config: { minRequests: 0 },
    finding: { status: 'in_sync', summary: /runtime had no traffic/, notes: [/^runtime: no traffic in the 10m/] },
  },
  'ERROR logs without traffic are new ERROR logs': {
    patch: runtimeFrom('-1h', { errorLogs: 1 }),
    finding: { status: 'drifted', error: { code: 'NO_TRAFFIC' }, differences: [{ path: 'runtime.errorLogs' }] },
  },
  'a rollout that is too young to be judged': {
    patch: rolledOut('-3m'),
    finding: {
      status: 'pending',
      error: { code: 'TOO_SOON' },
      summary: /^the rollout is 3m\S* old: what came of it is known after 6m$/,
    },
  },
  'errors of the revision before are not those of the rollout': {
    patch: {
      ...rolledOut('-8m'),
      telemetry: {
        runtime: [
          { fromTime: '-30d', requests: { '2xx': 120, '5xx': 5 } },
          { fromTime: '-8m', requests: { '2xx': 120 } },
        ],
      },
    },
    finding: { status: 'in_sync', summary: /0 with 5xx/ },
  },
  'a touch of the service that changes nothing of what serves does not begin anew': {
    patch: {
      services: { runtime: { updateTime: '-1m' } },
      ...runtimeFrom('-25h', { requests: { '2xx': 100, '5xx': 2 } }),
    },
    finding: {
      status: 'drifted',
      summary: /^runtime: 20 5xx responses in the 10m up to \S+Z, 0 in as long before the rollout$/,
    },
  },
  "what the revision before did in the same minutes is not its successor's": {
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
    finding: { status: 'in_sync', summary: /^runtime answered \d+ requests, 0 with 5xx/ },
  },
  'traffic that was moved a moment ago to a revision that has waited for it': {
    patch: {
      services: { runtime: { updateTime: '-1m' } },
      telemetry: { runtime: [{ fromTime: '-30d', revision: 'runtime-00041-wpz', requests: { '2xx': 120 } }] },
    },
    finding: { status: 'pending', error: { code: 'TOO_SOON' }, summary: /^the rollout is 1m\S* old/ },
  },
  'nothing known of the time before, and no error after: the allowed numbers are kept all the same': {
    patch: { telemetry: { runtime: [{ fromTime: '-1h', requests: { '2xx': 100 } }] } },
    finding: { status: 'in_sync', notes: [/^runtime: nothing is known of as long before the rollout/] },
  },
  'nothing known of the time before is no clean time': {
    patch: { telemetry: { runtime: [{ fromTime: '-1h', requests: { '2xx': 100, '5xx': 3 } }] } },
    finding: {
      status: 'unknown',
      differences: [],
      error: { code: 'NO_TRAFFIC' },
      summary: /^runtime: 30 5xx responses in the 10m up to \S+, and nothing is known of as long before the rollout/,
    },
  },
  'a service that is missing': {
    patch: { services: { runtime: null } } as unknown as WorldPatch,
    finding: { status: 'unknown', error: { code: 'DEPENDS_ON' } },
  },
  'two revisions serve, and one does not say its age: it may be the newer one': {
    patch: {
      ...split,
      ...runtimeFrom('-1h', { requests: { '2xx': 100 } }),
      revisions: { 'runtime-00041-wpz': { createTime: null } },
    },
    finding: { status: 'unknown', differences: [] },
  },
  'two revisions serve, and one is no longer kept: it may be the newer one': {
    patch: { ...split, revisions: { 'runtime-00041-wpz': null } } as unknown as WorldPatch,
    finding: { status: 'unknown', differences: [] },
  },
  'two revisions serve that say their age': { patch: split, finding: { status: 'in_sync', differences: [] } },
  'nobody serves': {
    patch: { services: { runtime: { latestReadyRevision: '' } } },
    finding: { status: 'unknown', error: { code: 'DEPENDS_ON' } },
  },
}

for (const [name, { patch, config, finding }] of Object.entries(cases)) {
  t.test(name, async t => {
    const context = await build(t, { ...(patch && { patch }), ...(config && { config: buildConfig(config) }) })
    const found = await context.look()
    const { differences } = finding as { differences?: readonly unknown[] }
    if (differences) t.equal(found.differences.length, differences.length, 'nothing else differs')
    t.match(found, finding)
  })
}

t.test('the windows are whole minutes that are complete, and as long on both sides of the rollout', async t => {
  const noon = Date.UTC(2026, 10, 3, 12)
  const limits = { windowMs: 10 * minute, delayMs: 4 * minute }
  const at = (madeAt: number, readyAt = madeAt) => ({ madeAt, readyAt })
  t.same(windowsOf(at(noon), noon + 3_600_000 + 59_999, limits), {
    after: { from: noon + 46 * minute, to: noon + 56 * minute },
    before: { from: noon - 10 * minute, to: noon },
  })
  t.equal(windowsOf(at(noon), noon + 4 * minute + 59_999, limits), null, 'no minute is complete')
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
    'the minute of the rollout itself is on neither side',
  )
  t.same(
    windowsOf(at(noon, noon + 90_000), noon + 8 * minute, limits),
    {
      after: { from: noon + 2 * minute, to: noon + 4 * minute },
      before: { from: noon - 2 * minute, to: noon },
    },
    'nor are the minutes between a revision that is made and one that is ready',
  )
})

t.test('as the minutes pass a rollout is pending, then judged, and its errors go out of the window', async t => {
  const patch = {
    ...rolledOut('-1m'),
    telemetry: {
      runtime: [
        { fromTime: '-30d', requests: { '2xx': 120 } },
        { fromTime: '-1m', requests: { '2xx': 120, '5xx': 1 } },
      ],
    },
  }
  const { look, clock, monitoring } = await build(t, { patch })
  const statuses: string[] = []
  for (let passed = 0; passed < 24; passed += 2) {
    if (passed === 10)
      monitoring?.setTelemetry({
        ...loadWorld().telemetry,
        runtime: [{ fromTime: '2020-01-01T00:00:00Z', requests: { '2xx': 1 } }],
      })
    statuses.push((await look()).status)
    clock.advance(2 * minute)
  }
  t.equal(statuses[0], 'pending')
  t.match(statuses.slice(3, 5), ['drifted', 'drifted'])
  t.equal(statuses.at(-1), 'in_sync')
})

t.test('a fleet asks twice a cycle and project, and once for what was before each rollout', async t => {
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
  t.same(await calls(), { ListTimeSeries: 2 }, 'what was before is known')
})

t.test('what Cloud Monitoring refuses is an error of the look', async t => {
  const { look, monitoring } = await build(t)
  monitoring?.setFaults([{ method: 'ListTimeSeries', code: 'PERMISSION_DENIED' }])
  t.match(await look(), { status: 'unknown', error: { code: 'PERMISSION_DENIED', message: /ListTimeSeries/ } })
})

t.test('where Cloud Monitoring cannot be asked it is unknown', async t => {
  const { look } = await build(t, { withoutMonitoring: true })
  t.match(await look(), {
    status: 'unknown',
    error: { code: 'EMULATOR_ABSENT', message: /Cloud Monitoring is not available/ },
  })
})

t.test('a Cloud Monitoring that nobody vouches for, or that refuses the credentials, counts for nothing', async t => {
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
  const look = (emulatorHost: string, channel: grpc.ChannelCredentials) =>
    withDeadline(systemClock, 10_000, undefined, async deadline => {
      const telemetry = createTelemetryClient({ clock: systemClock, emulatorHost, channel })
      const reader = createCloudRunReaders({ client, clock: systemClock }).open(deadline)
      const counts = createTelemetryReaders(telemetry, systemClock).open(deadline)
      const probe = createTelemetryProbe(createStackReaders().open(reader), counts, systemClock)
      return probe.observe(stack, deadline).finally(() => telemetry.close())
    })
  await t.test('over TLS', { skip: noOpenssl }, async t => {
    const { host, untrusted, trusted } = await startTlsEndpoint(t, monitoring.host)
    await t.rejects(look(host, untrusted), { code: 'UNAVAILABLE', message: /ListTimeSeries.*certificate/ })
    t.strictSame(monitoring.calls.counts(), {}, 'it was told nothing')
    await t.rejects(look(host, trusted()), { code: 'UNAUTHENTICATED', message: /ListTimeSeries/ })
    await t.rejects(look(host, trusted('of-another')), { code: 'UNAUTHENTICATED', message: /ListTimeSeries/ })
    t.match(await look(host, trusted(token)), { services: [{ service: 'runtime' }, {}] })
  })
})
