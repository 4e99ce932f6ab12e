import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import type { grpc } from 'google-gax'
import t, { type Test } from 'tap'
import { type Monitoring, type MonitoringOptions, startMonitoring } from '../../sandbox/monitoring.ts'
import { readMonitorIdentity } from '../../src/alerts/identity.ts'
import { createLogChannel } from '../../src/alerts/log.ts'
import { pointsOf, seriesName } from '../../src/alerts/points.ts'
import { wantedAlerts } from '../../src/alerts/policies/policies.ts'
import { planPolicies } from '../../src/alerts/policies/policy-plan.ts'
import { type ReconcilerContext, verifyPolicies } from '../../src/alerts/policies/policy-reconciler.ts'
import { silentAfterMs } from '../../src/alerts/policies/windows.ts'
import { rejectedPoints } from '../../src/alerts/rejected-points.ts'
import { runCli } from '../../src/cli/cli.ts'
import { createMetadataServer } from '../../src/clients/google/metadata.ts'
import type { AlertPolicy, WantedPolicy } from '../../src/clients/monitoring/alert-policy.ts'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import { startDeadline } from '../../src/concurrency/deadline.ts'
import { DriftwatchError, type ErrorCode } from '../../src/errors.ts'
import { createPolicyManager } from '../../src/operate/alerts/manage-policies.ts'
import { noOpenssl } from '../helpers/certificate.ts'
import { buildAlertsConfig, buildPaging, identityOf, onCall, type Paging, project } from '../helpers/paging.ts'
import { buildDriftedState, buildSnapshot, buildStackStates, buildState, noon } from '../helpers/states.ts'
import { startTlsEndpoint, type TlsEndpoint } from '../helpers/tls-endpoint.ts'

const minute = 60_000
const who = { project, monitor: 'driftwatch' }
const driftedMetric = 'custom.googleapis.com/driftwatch/check_drifted'

let cycles = 100

/** A snapshot of a new cycle. */
function freshSnapshot(stacks = [buildStackStates()]) {
  cycles += 1
  return buildSnapshot({ cycle: { id: cycles, startedAt: noon, durationMs: 1 }, stacks })
}

function captureLog() {
  const stream = new PassThrough()
  const lines: Record<string, unknown>[] = []
  stream.on('data', chunk =>
    lines.push(
      ...String(chunk)
        .trim()
        .split('\n')
        .map(line => JSON.parse(line)),
    ),
  )
  return { lines, log: createLog({ level: 'info', clock: systemClock, stream }) }
}

t.test('points: drifted and unknown of each check, and the heartbeat', async t => {
  const error = { code: 'PERMISSION_DENIED', message: '', at: noon } as const
  const states = [
    buildState({ check: 'service-image' }),
    buildDriftedState({ check: 'job-image' }),
    buildState({ check: 'migration-execution', status: 'unknown', error }),
  ]
  const points = pointsOf(freshSnapshot([buildStackStates({ states })]))
  t.strictSame(
    points.map(point => `${seriesName(point)} ${point.value}`),
    [
      'runtime/service-image check_drifted 0',
      'runtime/service-image check_unknown 0',
      'runtime/job-image check_drifted 1',
      'runtime/job-image check_unknown 0',
      'runtime/migration-execution check_unknown 1',
      'heartbeat 1',
    ],
  )
  const silent = (code: 'NOT_OBSERVED' | 'DEPENDS_ON') =>
    pointsOf(
      freshSnapshot([
        buildStackStates({ states: [buildState({ status: 'unknown', error: { code, message: '', at: noon } })] }),
      ]),
    ).map(seriesName)
  t.strictSame(silent('NOT_OBSERVED'), ['heartbeat'], 'nothing before the first finding')
  t.strictSame(silent('DEPENDS_ON'), ['heartbeat'], 'no series for a check that depends on a failed check')
})

t.test('points are written on generic_task with all its labels, at whole seconds', async t => {
  const paging = await buildPaging(t)
  paging.clock.advance(400)
  t.equal(await paging.publish(freshSnapshot()), 'ok')
  const [series] = paging.monitoring.series(project, `metric.type = "${driftedMetric}"`)
  t.strictSame(series, {
    metricType: driftedMetric,
    metricLabels: { stack: 'runtime', check: 'service-image' },
    resourceType: 'generic_task',
    resourceLabels: {
      project_id: project,
      location: 'us-central1',
      namespace: 'driftwatch',
      job: 'driftwatch',
      task_id: 'instance-a',
    },
    points: [{ at: noon + 7000, value: 0 }],
  })
  t.match(paging.channel.state(), { channel: 'cloud-monitoring', publishedAt: noon + 7400, error: null })
})

t.test('points of a series are at least ten seconds apart, and only the latest cycle is written', async t => {
  const paging = await buildPaging(t)
  await paging.publish(freshSnapshot())
  for (const status of ['in_sync', 'drifted'] as const) {
    paging.clock.advance(2000)
    paging.channel.publish(freshSnapshot([buildStackStates({ states: [buildState({ status })] })]), [])
  }
  const last = paging.publish(freshSnapshot([buildStackStates({ states: [buildDriftedState()] })]))
  paging.clock.advance(6000)
  t.equal(await last, 'ok')
  const [series] = paging.monitoring.series(
    project,
    `metric.type = "${driftedMetric}" AND metric.label.check = "job-image"`,
  )
  t.strictSame(
    series?.points.map(({ at, value }) => [at - noon, value]),
    [
      [7000, 0],
      [17_000, 1],
    ],
  )
})

t.test('a slow publish does not shorten the gap to the next one', async t => {
  const paging = await buildPaging(t)
  paging.monitoring.setFaults([{ method: 'GetMetricDescriptor', latencyMs: 30, times: 1 }])
  const first = paging.publish(freshSnapshot())
  while (paging.monitoring.calls.counts().GetMetricDescriptor === undefined) {
    await new Promise(resolve => setImmediate(resolve))
  }
  paging.clock.advance(4000)
  t.equal(await first, 'ok')
  const second = paging.publish(freshSnapshot())
  paging.clock.advance(6000)
  await new Promise(resolve => setImmediate(resolve))
  paging.clock.advance(4000)
  t.equal(await second, 'ok')
})

t.test('checks that become stale without a cycle are not written, so that the silent alert opens', async t => {
  const paging = await buildPaging(t)
  const snapshot = freshSnapshot()
  await paging.publish(snapshot)
  paging.clock.advance(minute)
  paging.channel.publish(snapshot, [])
  paging.channel.publish(buildSnapshot({ cycle: null }), [])
  paging.clock.advance(minute)
  await paging.publish(freshSnapshot())
  t.equal(paging.monitoring.calls.counts().CreateTimeSeries, 2)
})

t.test('retryable failures are retried, and a write whose response was lost counts as written', async t => {
  const paging = await buildPaging(t)
  paging.monitoring.setFaults([{ method: 'CreateTimeSeries', code: 'UNAVAILABLE', times: 2 }])
  t.equal(await paging.publish(freshSnapshot()), 'ok')
  t.equal(paging.monitoring.calls.counts().CreateTimeSeries, 3)

  paging.clock.advance(minute)
  paging.monitoring.setFaults([{ method: 'CreateTimeSeries', code: 'UNAVAILABLE', times: 1, afterwards: true }])
  t.equal(await paging.publish(freshSnapshot()), 'ok')
  t.equal(paging.channel.state().error, null)
})

t.test('a rejected batch does not affect other batches, and its series are named', async t => {
  const { lines, log } = captureLog()
  const paging = await buildPaging(t, { log })
  const stacks = Array.from({ length: 120 }, (_, index) => buildStackStates({ name: `stack-${index}` }))
  paging.monitoring.setFaults([{ method: 'CreateTimeSeries', code: 'INVALID_ARGUMENT', times: 1, message: 'no' }])
  t.equal(await paging.publish(freshSnapshot(stacks)), 'failed')
  t.equal(
    paging.monitoring.series(project, `metric.type = "${driftedMetric}"`).length,
    240 - 100,
    'the other batches are written',
  )
  t.match(paging.channel.state(), { publishedAt: null, error: { code: 'INVALID_ARGUMENT' } })
  t.match(
    paging.channel.state().error?.message,
    /1 of 3 requests failed.*not written: stack-0\/service-image check_drifted, .* and 190 more/,
  )
  const [rejected] = lines.filter(({ message }) => message === 'series rejected')
  t.match(rejected, { series: { length: 200 } })

  paging.clock.advance(30_000)
  t.equal(await paging.publish(freshSnapshot(stacks)), 'ok')
  t.equal(paging.channel.state().error, null)
})

t.test('of a partly rejected batch only the rejected series are named', async t => {
  const points = pointsOf(freshSnapshot())
  const refusal = (text: string) => new DriftwatchError('INVALID_ARGUMENT', 'x', { cause: new Error(text) })
  const names = (text: string) => rejectedPoints(refusal(text), points).map(point => points.indexOf(point))
  t.strictSame(names('timeSeries[0-1,3]: write for resource=generic_task{} failed with: Points'), [0, 1, 3])
  t.strictSame(names('One could not be written: timeSeries[1]: a; timeSeries[4]: b'), [1, 4])
  t.strictSame(names('quota'), [0, 1, 2, 3, 4])
  t.strictSame(names('timeSeries[900]'), [0, 1, 2, 3, 4], 'an index out of range names no series')
})

t.test('of a malformed request nothing is written, and every series is named', async t => {
  const paging = await buildPaging(t)
  const nowhere = paging.join('instance-b', { location: 'nowhere' })
  t.equal(await paging.publish(freshSnapshot(), nowhere), 'failed')
  t.strictSame(paging.monitoring.series(project, `metric.type = "${driftedMetric}"`), [])
  t.match(
    nowhere.state().error?.message,
    /Unrecognized region.*not written: runtime\/service-image check_drifted, .*, runtime\/job-image check_unknown, heartbeat, installation$/,
  )
})

t.test('only the series that another instance has just written is rejected', async t => {
  const paging = await buildPaging(t)
  await paging.publish(freshSnapshot())
  await paging.restart('instance-a')
  t.equal(await paging.publish(freshSnapshot([buildStackStates(), buildStackStates({ name: 'new' })])), 'failed')
  t.match(paging.channel.state().error?.message, /in order.*not written: runtime\/service-image check_drifted/)
  t.notMatch(paging.channel.state().error?.message, /not written:.*new\//)
})

t.test('a hanging channel delays no cycle, keeps only the latest one, and is abandoned on close', async t => {
  const paging = await buildPaging(t)
  paging.monitoring.setFaults([{ method: 'CreateTimeSeries', hang: true }])
  for (const _ of 'abc') {
    paging.channel.publish(freshSnapshot(), [])
    paging.clock.advance(1000)
  }
  t.equal(paging.channel.state().publishedAt, null)
  await paging.channel.close()
  t.equal(paging.channel.state().error, null, 'closing is not a failure')
})

t.test('points are written in time even if other requests hang', async t => {
  for (const method of ['GetMetricDescriptor', 'CreateMetricDescriptor', 'ListTimeSeries']) {
    const paging = await buildPaging(t)
    paging.monitoring.setFaults([{ method, hang: true }])
    const begin = paging.clock.now()
    t.equal(await inVirtualTime(paging, paging.publish(freshSnapshot()), method), 'ok', method)
    t.ok(paging.clock.now() - begin <= 6000, `${method}: ${paging.clock.now() - begin} ms`)
    const calls = paging.monitoring.calls.counts()[method]
    paging.clock.advance(30_000)
    t.equal(await paging.publish(freshSnapshot()), 'ok')
    t.equal(paging.monitoring.calls.counts()[method], calls, 'it is not requested in each cycle')
  }
})

t.test('nothing is flushed at the end right after a write', async t => {
  const paging = await buildPaging(t)
  await paging.publish(freshSnapshot())
  paging.channel.publish(freshSnapshot(), [])
  await paging.channel.close()
  paging.clock.advance(minute)
  t.equal(paging.monitoring.calls.counts().CreateTimeSeries, 1)
})

t.test('with the minimum roles it publishes, and reports the missing permission', async t => {
  const paging = await buildPaging(t, { roles: ['roles/monitoring.metricWriter'] })
  t.equal(await paging.publish(freshSnapshot()), 'ok')
  const { publishedAt, error } = paging.channel.state()
  t.equal(publishedAt, noon + 7000)
  t.match(error, { code: 'PERMISSION_DENIED', message: /^points are written, but .*roles\/monitoring\.viewer/ })
})

t.test('without permissions it reports the error and keeps trying', async t => {
  const paging = await buildPaging(t, { roles: [] })
  t.equal(await paging.publish(freshSnapshot()), 'failed')
  t.match(paging.channel.state().error, { code: 'PERMISSION_DENIED', message: /monitoring\.timeSeries\.create denied/ })
  paging.monitoring.setRoles(['roles/monitoring.editor'])
  paging.clock.advance(minute)
  t.equal(await paging.publish(freshSnapshot()), 'ok')
  t.equal(paging.channel.state().error, null)
})

t.test('nothing is sent to a server with an untrusted certificate, and nothing counts as published', async t => {
  const token = 'an-access-token'
  const ways: readonly (readonly [string, ErrorCode | null, (endpoint: TlsEndpoint) => grpc.ChannelCredentials])[] = [
    ['a certificate of an unknown authority', 'UNAVAILABLE', ({ untrusted }) => untrusted],
    ['no credentials', 'UNAUTHENTICATED', ({ trusted }) => trusted()],
    ['wrong credentials', 'UNAUTHENTICATED', ({ trusted }) => trusted('of-another')],
    ['the right ones', null, ({ trusted }) => trusted(token)],
  ]
  for (const [way, code, channelOf] of ways) {
    await t.test(way, { skip: noOpenssl }, async t => {
      const paging = await buildPaging(t, {
        token,
        async way({ host }) {
          const endpoint = await startTlsEndpoint(t, host)
          return { emulatorHost: endpoint.host, channel: channelOf(endpoint) }
        },
      })
      const { monitoring, channel, writer, clock } = paging
      t.equal(await paging.publish(freshSnapshot()), code ? 'failed' : 'ok')
      t.match(channel.state(), code ? { publishedAt: null, error: { code } } : { publishedAt: Number, error: null })
      const [policy] = wantedAlerts(paging.config, who).policies
      const deadline = startDeadline(clock, 10_000)
      const created = await writer.createPolicy(project, policy as WantedPolicy, deadline).catch(thrown => thrown)
      deadline.cancel()
      t.match(created, code ? { code } : undefined)
      t.equal(monitoring.series(project, `metric.type = "${driftedMetric}"`).length, code ? 0 : 2)
      t.equal(monitoring.policies().length, code ? 0 : 1)
      if (code !== 'UNAVAILABLE') return
      t.match(channel.state().error?.message, /certificate/)
      t.strictSame(monitoring.calls.counts(), {}, 'it received nothing')
    })
  }
})

t.test("without Google's credentials nothing leaves for Cloud Monitoring", async t => {
  const environment = { ...process.env }
  let connections = 0
  const proxy = createServer().on('connection', () => ++connections)
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => {
    process.env = environment
    proxy.close()
  })
  // A proxy that would see every outgoing request.
  const way = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  const credentials = { HOME: t.testdir(), CLOUDSDK_CONFIG: t.testdir(), GOOGLE_APPLICATION_CREDENTIALS: '' }
  process.env = {
    ...environment,
    ...credentials,
    METADATA_SERVER_DETECTION: 'none',
    grpc_proxy: way,
    https_proxy: way,
    http_proxy: way,
  }
  const paging = await buildPaging(t, { way: async () => ({ emulatorHost: null }) })
  t.equal(await paging.publish(freshSnapshot()), 'failed')
  t.match(paging.channel.state(), {
    publishedAt: null,
    error: { code: 'UNAUTHENTICATED', message: /no valid Google Cloud credentials/ },
  })
  t.equal(connections, 0)
})

t.test('a metric of another kind is reported and not overwritten', async t => {
  const paging = await buildPaging(t)
  const foreign = { type: driftedMetric, metricKind: 'GAUGE', valueType: 'DOUBLE', labels: [], description: 'theirs' }
  paging.monitoring.createDescriptor(project, foreign)
  t.equal(await paging.publish(freshSnapshot()), 'failed')
  t.match(paging.channel.state().error, {
    code: 'INVALID_ARGUMENT',
    message: /check_drifted exists as GAUGE DOUBLE, but must be GAUGE INT64/,
  })
  t.match(await plan(paging), {
    problems: [/check_drifted exists as GAUGE DOUBLE, but must be GAUGE INT64\. Delete its descriptor/],
  })
  t.match(paging.monitoring.series(project, 'metric.type = "custom.googleapis.com/driftwatch/heartbeat"'), [{}])
})

async function plan({ client, clock, ...paging }: Paging, config = paging.config) {
  const { inspectAlerts } = await import('../../src/alerts/policies/inspect.ts')
  return inspectAlerts({ client, config, clock, signal: new AbortController().signal }, who)
}

t.test('there are three policies: drifted and unknown for each stack and check, silent for the monitor', async t => {
  const config = buildAlertsConfig({ severity: 'critical', unknownAfter: '20m', autoClose: '3d' })
  const { policies, problems, uptimeCheck } = wantedAlerts(config, who)
  t.match(policies, [
    {
      displayName: 'Driftwatch driftwatch: silent',
      severity: 'CRITICAL',
      conditions: [{ kind: 'absence', groupBy: [], durationMs: 3 * minute }],
    },
    {
      displayName: 'Driftwatch driftwatch: drifted',
      severity: 'CRITICAL',
      userLabels: { driftwatch_monitor: 'driftwatch', driftwatch_alert: 'drifted', driftwatch_route: 'default' },
      conditions: [
        { groupBy: ['metric.label.stack', 'metric.label.check'], missingData: 'EVALUATION_MISSING_DATA_NO_OP' },
      ],
      autoCloseMs: 3 * 1440 * minute,
      notificationPrompts: ['OPENED', 'CLOSED'],
      notificationChannels: [onCall],
    },
    { displayName: 'Driftwatch driftwatch: unknown', severity: 'WARNING', conditions: [{ durationMs: 20 * minute }] },
  ])
  t.strictSame([policies.length, problems, uptimeCheck], [3, [], null])
  const documented = policies.every(
    ({ documentation }) => documentation.subject && documentation.content.includes('```'),
  )
  t.ok(documented, 'each has a subject and a command')
})

t.test('the alerts section of a configuration is validated before any request', async t => {
  const refused = (alerts: object, message: RegExp) => t.throws(() => buildAlertsConfig(alerts), { message })
  refused(
    { unknownAfter: '90s' },
    /alerts\.unknownAfter: invalid value "90s": expected a duration of whole minutes from 1m to 23h30m/,
  )
  refused({ unknownAfter: '24h' }, /whole minutes/)
  refused({ autoClose: '30m' }, /alerts\.autoClose: invalid value "30m": expected a duration from 1d to 7d/)
  refused(
    { notificationChannels: ['4093201'] },
    /invalid value "4093201": expected the resource name of a notification channel \(for example projects/,
  )
  refused({ uptimeCheck: true }, /alerts\.uptimeCheck: an uptime check needs a `baseUrl`/)
  refused({ uptimeCheck: true, baseUrl: 'http://drift.acme.dev' }, /starts with https/)
  for (const policies of ['manage', 'verify'])
    refused({ policies, channels: ['log'] }, /alerts\.policies: "\w+" needs the metrics of cloud-monitoring/)
  t.match(wantedAlerts(buildAlertsConfig({ channels: ['log'] }), who).problems, [/does not contain cloud-monitoring/])
  refused({ policies: 'mange' }, /expected one of off, verify, manage/)
  refused({ channels: ['mail'] }, /expected one of log, cloud-monitoring/)
  const route = { name: 'a', labels: { team: 'a' }, notificationChannels: [] }
  refused(
    { routes: [route, route] },
    /alerts\.routes\[1\]\.name: duplicate name "a": alerts\.routes\[0\] already uses it/,
  )
  refused({ routes: [{ ...route, name: 'default' }] }, /"default" is reserved/)
  refused({ routes: [{ ...route, labels: {} }] }, /labels: must not be empty/)
  t.match(buildAlertsConfig({ baseUrl: 'https://drift.acme.dev/', channels: ['log', 'log'] }).alerts, {
    baseUrl: 'https://drift.acme.dev',
    channels: ['log'],
  })
})

t.test('the silence threshold follows the schedule', async t => {
  const after = (schedule: string) =>
    silentAfterMs(buildAlertsConfig({}, ['a'], { schedule, staleAfter: '20d', timeout: '10s' })) / minute
  t.strictSame(['*/10 * * * * *', '*/5 * * * *', '0 * * * *'].map(after), [3, 11, 121])
  const weekly = buildAlertsConfig({}, ['a'], { schedule: '0 0 * * 0', staleAfter: '20d' })
  t.match(wantedAlerts(weekly, who).problems, [/gaps of 7 d, .*Run cycles more often/])
})

t.test('stacks of a route have their own policies, and no one is notified twice', async t => {
  const base = buildAlertsConfig({}, ['pay', 'ship', 'web'])
  const routes = [
    { name: 'payments', labels: { team: 'payments' }, notificationChannels: ['projects/x/notificationChannels/1'] },
    { name: 'empty', labels: { team: 'empty' }, notificationChannels: [] },
  ]
  const [pay, ...others] = base.stacks
  const stacks = [{ ...(pay as NonNullable<typeof pay>), labels: { team: 'payments', tier: '1' } }, ...others]
  const { policies } = wantedAlerts({ ...base, stacks, alerts: { ...base.alerts, routes } }, who)
  t.strictSame(
    policies.map(({ displayName, notificationChannels, conditions }) => [
      displayName.replace('Driftwatch driftwatch: ', ''),
      notificationChannels,
      conditions.map(({ filter }) => filter.split(' AND ').slice(4).join(' AND ')),
    ]),
    [
      ['silent', [onCall], ['']],
      ['drifted (payments)', ['projects/x/notificationChannels/1'], ['metric.label.stack = one_of("pay")']],
      ['unknown (payments)', ['projects/x/notificationChannels/1'], ['metric.label.stack = one_of("pay")']],
      ['drifted', [onCall], ['metric.label.stack != "pay"']],
      ['unknown', [onCall], ['metric.label.stack != "pay"']],
    ],
  )
})

t.test(
  'a route of many stacks is split into conditions that Cloud Monitoring accepts, and too many are a problem',
  async t => {
    const routed = (count: number) => {
      const names = Array.from({ length: count }, (_, index) => `stack-with-a-long-name-${index}`)
      const base = buildAlertsConfig(
        { routes: [{ name: 'all', labels: { team: 'a' }, notificationChannels: [] }] },
        names,
      )
      return { ...base, stacks: base.stacks.map((stack, at) => ({ ...stack, labels: at > 0 ? { team: 'a' } : {} })) }
    }
    const config = routed(200)
    const { policies, problems } = wantedAlerts(config, who)
    t.strictSame(problems, [])
    t.ok(policies.every(({ conditions }) => conditions.every(({ filter }) => filter.length <= 2048)))
    t.ok((policies[1]?.conditions.length ?? 0) > 1)
    t.match(policies[3]?.conditions, [{ filter: /one_of\("stack-with-a-long-name-0"\)$/ }], 'none-of would be too long')
    const paging = await buildPaging(t, { config })
    await paging.apply()
    t.strictSame((await plan(paging)).steps, [])
    t.match(wantedAlerts(routed(500), who).problems, [/needs \d+ conditions/, /needs/])
  },
)

t.test('apply creates everything, and a second run changes nothing', async t => {
  const config = buildAlertsConfig({ baseUrl: 'https://drift.acme.dev', uptimeCheck: true })
  const paging = await buildPaging(t, { config })
  await paging.apply()
  t.equal(paging.monitoring.policies().length, 3)
  t.match(paging.monitoring.uptimeChecks(), [
    {
      monitoredResource: { type: 'uptime_url', labels: { host: 'drift.acme.dev' } },
      httpCheck: { path: '/drift/gate', useSsl: true, serviceAgentAuthentication: { type: 'OIDC_TOKEN' } },
    },
  ])
  t.strictSame((await plan(paging)).steps, [])
})

t.test('an update keeps the names of policies and conditions, and with them the open incidents', async t => {
  const paging = await buildPaging(t)
  await paging.apply()
  for (const _ of 'DDDD') {
    await paging.publish(freshSnapshot([buildStackStates({ states: [buildDriftedState()] })]))
    paging.pass(30_000)
  }
  t.equal(paging.open().length, 1)
  const names = () => paging.monitoring.policies().map(({ name, conditions }) => [name, conditions[0]?.name])
  const before = names()
  const louder = buildAlertsConfig({ severity: 'critical' })
  t.match(await plan(paging, louder), {
    steps: [{ kind: 'update-policy', details: ['severity: "ERROR" -> "CRITICAL"'] }],
  })
  await paging.apply(louder)
  paging.pass(minute)
  t.strictSame(names(), before)
  t.equal(paging.open().length, 1, 'the incident is still the same')
})

t.test('an update writes only the fields that differ, and keeps the settings of others', async t => {
  const paging = await buildPaging(t, { config: buildAlertsConfig({ notificationChannels: [] }) })
  await paging.apply()
  const [, policy] = paging.monitoring.policies()
  const names = policy?.conditions.map(({ name }) => name)
  const theirs = {
    userLabels: { ...policy?.userLabels, cost_center: '4711' },
    notificationChannels: [onCall],
    alertStrategy: { ...policy?.alertStrategy, notificationChannelStrategy: [{ renotifyInterval: { seconds: 3600 } }] },
  }
  Object.assign(policy ?? {}, theirs, { enabled: { value: false } })
  const disabled = /^policy "Driftwatch driftwatch: drifted" .* is disabled\. Enable it/
  t.match(
    await plan(paging),
    { steps: { length: 0 }, problems: [disabled] },
    'Driftwatch manages none of these settings',
  )

  const changed = buildAlertsConfig({ notificationChannels: [], severity: 'critical', autoClose: '3d' })
  t.match(await plan(paging, changed), { steps: { length: 3 }, problems: [disabled] })
  await paging.apply(changed)
  t.match(paging.monitoring.policies()[1], {
    ...theirs,
    alertStrategy: { ...theirs.alertStrategy, autoClose: { seconds: '259200' } },
    severity: 'CRITICAL',
    enabled: { value: false },
    conditions: [{ name: names?.[0] }],
  })
  t.match(await plan(paging, changed), { steps: { length: 0 }, problems: [disabled] })
  t.match((await plan(paging, buildAlertsConfig({ severity: 'critical', autoClose: '3d' }))).steps, { length: 2 })

  const masks: unknown[] = []
  const { steps } = await plan(
    paging,
    buildAlertsConfig({ notificationChannels: [], runbookUrl: 'https://w.acme.dev' }),
  )
  for (const step of steps) if (step.kind === 'update-policy') masks.push(step.policy.changed.toSorted())
  t.strictSame(masks, [
    ['autoCloseMs', 'documentation'],
    ['autoCloseMs', 'documentation', 'severity'],
    ['autoCloseMs', 'documentation'],
  ])
})

t.test('the difference of two long texts is shown where they differ', async t => {
  const paging = await buildPaging(t)
  await paging.apply()
  const { steps } = await plan(paging, buildAlertsConfig({ runbookUrl: 'https://wiki.acme.dev/drift' }))
  t.match(steps[1]?.details[0], /^documentation\.content: "\.\.\..*" -> "\.\.\..*\[Runbook\]\(https:/)
})

t.test('an update of an uptime check writes only the fields that differ', async t => {
  const config = buildAlertsConfig({ baseUrl: 'https://drift.acme.dev', uptimeCheck: true })
  const paging = await buildPaging(t, { config })
  await paging.apply()
  const [check] = paging.monitoring.uptimeChecks()
  Object.assign(check ?? {}, { selectedRegions: ['EUROPE'], userLabels: { ...(check?.userLabels as object), a: 'b' } })
  t.strictSame((await plan(paging)).steps, [])
  const moved = buildAlertsConfig({ baseUrl: 'https://drift.acme.dev/inner', uptimeCheck: true })
  await paging.apply(moved)
  t.match(paging.monitoring.uptimeChecks(), [
    { httpCheck: { path: '/inner/drift/gate' }, selectedRegions: ['EUROPE'], userLabels: { a: 'b' } },
  ])
})

t.test(
  'duplicates and policies that are no longer configured are deleted, and policies of others with the same name stay',
  async t => {
    const config = buildAlertsConfig({ baseUrl: 'https://drift.acme.dev', uptimeCheck: true })
    const paging = await buildPaging(t, { config })
    await paging.apply()
    const [, first] = paging.monitoring.policies()
    const copy = (override: object) => ({
      ...first,
      name: '',
      conditions: first?.conditions.map(condition => ({ ...condition, name: '' })),
      ...override,
    })
    paging.clock.advance(1000)
    paging.monitoring.createPolicy(project, copy({}))
    paging.monitoring.createPolicy(project, copy({ userLabels: {} }))
    paging.monitoring.createPolicy(project, copy({ userLabels: { ...first?.userLabels, driftwatch_route: 'gone' } }))
    paging.monitoring.createPolicy(project, copy({ userLabels: { ...first?.userLabels, driftwatch_monitor: 'other' } }))
    const wanted = buildAlertsConfig({})
    const { steps, notes } = await plan(paging, wanted)
    t.strictSame(
      steps.map(({ kind }) => kind).filter(kind => kind.startsWith('delete')),
      ['delete-policy', 'delete-policy', 'delete-uptime-check'],
    )
    t.match(notes, [
      /is also named "Driftwatch driftwatch: drifted", but lacks the label driftwatch_monitor and is not changed/,
      /not changed/,
    ])
    await paging.apply(wanted)
    t.equal(paging.monitoring.policies().length, 5)
    t.ok(
      paging.monitoring.policies().some(({ name }) => name === first?.name),
      'the oldest stays',
    )
    t.strictSame(paging.monitoring.uptimeChecks(), [])
  },
)

t.test('concurrent instances keep the same policy', async t => {
  const [wanted] = wantedAlerts(buildAlertsConfig(), who).policies
  if (!wanted) throw new Error('no policy is wanted')
  const existing = ['b', 'a', 'c'].map(
    (name, index): AlertPolicy => ({
      ...wanted,
      name,
      createdAt: index === 2 ? 0 : 1,
      conditions: wanted.conditions.map(condition => ({ ...condition, name: `${name}/1` })),
    }),
  )
  const gone = (policies: AlertPolicy[]) =>
    planPolicies([wanted], policies, 'driftwatch').steps.map(step => step.kind === 'delete-policy' && step.name)
  t.strictSame(gone(existing), ['a', 'b'])
  t.strictSame(gone(existing.toReversed()), ['a', 'b'])
})

t.test('a missing notification channel is reported, and the policy is created without it', async t => {
  const missing = `projects/${project}/notificationChannels/999`
  const config = buildAlertsConfig({ notificationChannels: [onCall, missing] })
  const paging = await buildPaging(t, { config })
  t.match((await plan(paging)).problems, [
    `notification channel ${missing} does not exist and is omitted from the policies`,
  ])
  await paging.apply()
  t.strictSame(paging.monitoring.policies()[0]?.notificationChannels, [onCall])
})

t.test('a failed step does not stop the others, and the silent policy comes first', async t => {
  const paging = await buildPaging(t)
  paging.monitoring.setFaults([
    { method: 'CreateMetricDescriptor', latencyMs: 1, times: 1 },
    { method: 'CreateMetricDescriptor', code: 'PERMISSION_DENIED', times: 1 },
    { method: 'CreateAlertPolicy', latencyMs: 1, times: 2 },
    { method: 'CreateAlertPolicy', code: 'INVALID_ARGUMENT', times: 1 },
  ])
  const failed = await paging.apply()
  t.strictSame(
    failed.map(({ step, error }) => [step.title, error.code]),
    [
      [`create metric ${driftedMetric}`, 'PERMISSION_DENIED'],
      ['create policy "Driftwatch driftwatch: drifted"', 'NOT_FOUND'],
      ['create policy "Driftwatch driftwatch: unknown"', 'INVALID_ARGUMENT'],
    ],
    'a policy without its metric fails without waiting',
  )
  t.match(paging.monitoring.policies(), [{ displayName: 'Driftwatch driftwatch: silent' }])
  t.strictSame(await paging.apply(), [])
  t.equal(paging.monitoring.policies().length, 3)
})

t.test('apply waits until a new metric is available, for a limited time', async t => {
  const paging = await buildPaging(t, { metricKnownAfterMs: 5 * minute })
  await inVirtualTime(paging, paging.apply())
  t.equal(paging.monitoring.policies().length, 3)
  t.equal(paging.clock.now() - noon - 7000, 5 * minute, 'it checks every 15 seconds')

  const never = await buildPaging(t, { metricKnownAfterMs: Number.POSITIVE_INFINITY })
  const begin = never.clock.now()
  const failed = await inVirtualTime(never, never.apply())
  t.match(
    failed.map(({ error }) => error),
    Array(3).fill({ code: 'NOT_FOUND', message: /Cannot find metric/ }),
  )
  t.ok(never.clock.now() - begin < 13 * minute, 'apply waits once for all metrics that it creates')
})

/** Advances the clock during each sleep, and while a `hanging` method is called, until `work` ends. */
async function inVirtualTime<T>({ clock, monitoring }: Paging, work: Promise<T>, hanging = ''): Promise<T> {
  let over = false
  const ended = work.finally(() => {
    over = true
  })
  ended.catch(() => {})
  const hangs = () => monitoring.calls.all.at(-1)?.method === hanging
  while (!over) {
    await new Promise(resolve => setImmediate(resolve))
    if (clock.sleepers() > 0 || hangs()) clock.advance(1000)
  }
  return ended
}

/** The context of one run of a reconciler. */
function context(paging: Paging, instance = 'instance-a', config = paging.config): ReconcilerContext {
  return {
    client: paging.client,
    config,
    clock: paging.clock,
    log: createLog({ level: 'silent', clock: paging.clock }),
    identity: identityOf(instance),
    signal: new AbortController().signal,
    onRequest: () => {},
  }
}

t.test('verify reports differences and writes nothing; without permission it reports the error', async t => {
  const paging = await buildPaging(t)
  t.match(await verifyPolicies(context(paging)), { problem: /create policy "Driftwatch driftwatch: drifted"/ })
  t.strictSame(paging.monitoring.policies(), [])
  await paging.apply()
  t.strictSame(await verifyPolicies(context(paging)), { problem: null, again: false })
  paging.monitoring.setRoles(['roles/monitoring.metricWriter'])
  await t.rejects(verifyPolicies(context(paging)), {
    code: 'PERMISSION_DENIED',
    message: /monitoring\.\w+\.\w+ denied/,
  })
})

t.test('manage updates the policies, reverts manual changes, and only one instance writes', async t => {
  const paging = await buildPaging(t)
  const manage = createPolicyManager({ emulatorHost: paging.monitoring.host })
  await paging.publish(freshSnapshot())
  t.match(await manage(context(paging, 'instance-b')), { problem: null, again: true }, 'instance-a is alive')
  t.strictSame(paging.monitoring.policies(), [])
  t.strictSame(await manage(context(paging)), { problem: null, again: true }, 'duplicates may be visible only later')
  t.strictSame(await manage(context(paging)), { problem: null, again: false })
  const [, policy] = paging.monitoring.policies()
  Object.assign(policy ?? {}, { severity: 'WARNING', displayName: 'mine now' })
  t.strictSame(await manage(context(paging)), { problem: null, again: false })
  t.match(paging.monitoring.policies()[1], { severity: 'ERROR', displayName: 'Driftwatch driftwatch: drifted' })
  paging.clock.advance(4 * minute)
  t.match(await manage(context(paging, 'instance-b')), { again: false }, 'instance-a is gone')
})

t.test('the identity comes from the metadata server, and is never guessed on Cloud Run', async t => {
  const answers: Record<string, string> = {
    '/computeMetadata/v1/project/project-id': 'acme-monitoring',
    '/computeMetadata/v1/instance/region': 'projects/4711/regions/europe-west1',
    '/computeMetadata/v1/instance/id': '00f4',
  }
  let flavor = 'Google'
  const server = createServer((request, response) => {
    const answer = request.headers['metadata-flavor'] === 'Google' ? answers[request.url ?? ''] : undefined
    response.writeHead(answer === undefined ? 404 : 200, { 'metadata-flavor': flavor }).end(answer)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const metadata = createMetadataServer(`127.0.0.1:${(server.address() as AddressInfo).port}`)
  const deadline = startDeadline(systemClock, 10_000)
  const read = (service: string | null, asked: typeof metadata | null) =>
    readMonitorIdentity(
      { config: buildAlertsConfig(), environment: { service }, metadata: asked, process: 'host-1' },
      deadline,
    )
  t.strictSame(await read('watcher', metadata), {
    project: 'acme-monitoring',
    location: 'europe-west1',
    monitor: 'watcher',
    instance: '00f4',
  })
  t.match(
    await read(null, metadata),
    { project: 'acme-monitoring', instance: 'host-1' },
    'one host may run several instances',
  )
  const guessed = { project, location: 'us-central1', monitor: 'driftwatch', instance: 'host-1' }
  t.strictSame(await read(null, null), guessed)
  flavor = 'somebody else'
  t.strictSame(await read(null, metadata), guessed, 'a server without the metadata header is not a metadata server')
  await t.rejects(read('watcher', metadata), { code: 'UNAVAILABLE' })
  flavor = 'Google'
  answers['/computeMetadata/v1/instance/id'] = ''
  await t.rejects(read(null, metadata), { code: 'MALFORMED_RESPONSE' })
})

t.test('the log channel writes a line for each transition, and for each problem at the start', async t => {
  const { lines, log } = captureLog()
  const channel = createLogChannel(log, systemClock, { onPublished: () => {}, onState: () => {} })
  const drifted = buildDriftedState()
  const transition = { stack: 'runtime', check: 'job-image', since: noon, differences: drifted.differences } as const
  channel.publish(freshSnapshot([buildStackStates({ states: [drifted] })]), [])
  channel.publish(freshSnapshot(), [{ ...transition, from: 'drifted', to: 'in_sync' }])
  channel.publish(freshSnapshot(), [{ ...transition, from: 'in_sync', to: 'unknown' }])
  channel.publish(freshSnapshot([buildStackStates({ states: [drifted] })]), [
    { ...transition, from: 'unknown', to: 'drifted' },
  ])
  t.match(lines, [
    { severity: 'ERROR', message: 'check status changed', from: null, to: 'drifted', check: 'job-image' },
    { severity: 'INFO', from: 'drifted', to: 'in_sync' },
    { severity: 'WARNING', from: 'in_sync', to: 'unknown' },
    {
      severity: 'ERROR',
      from: 'unknown',
      to: 'drifted',
      since: new Date(noon).toISOString(),
      differences: [{ path: 'job.image' }],
    },
  ])
  t.equal(lines.length, 4)
})

t.test('a check that is first unknown and then drifted is logged', async t => {
  const { lines, log } = captureLog()
  const channel = createLogChannel(log, systemClock, { onPublished: () => {}, onState: () => {} })
  const blind = { ...buildDriftedState(), status: 'unknown', observedAt: null, staleAt: null, differences: [] } as const
  channel.publish(freshSnapshot([buildStackStates({ states: [blind] })]), [])
  channel.publish(freshSnapshot([buildStackStates({ states: [buildDriftedState()] })]), [])
  t.match(lines, [{ severity: 'ERROR', from: null, to: 'drifted', check: 'job-image' }])
  t.equal(lines.length, 1)
})

t.test('a drifted check that returns, or has a new state, is logged again', async t => {
  const { lines, log } = captureLog()
  const channel = createLogChannel(log, systemClock, { onPublished: () => {}, onState: () => {} })
  const drifted = [buildStackStates({ states: [buildDriftedState()] })]
  channel.publish(freshSnapshot(drifted), [])
  channel.publish(freshSnapshot(drifted), [])
  channel.publish(freshSnapshot([]), [])
  channel.publish(freshSnapshot(drifted), [])
  t.equal(lines.length, 2, 'it was removed and returned')
  channel.publish(freshSnapshot(), [])
  channel.publish(freshSnapshot(drifted), [])
  t.equal(lines.length, 3, 'its state was new: in sync, then drifted, without a transition')
  t.ok(lines.every(({ severity, from, to }) => severity === 'ERROR' && from === null && to === 'drifted'))
})

interface CliResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function alerts(t: Test, monitoring: Monitoring, args: string, settings: object = {}): Promise<CliResult> {
  const stacks = [{ name: 'runtime', project, region: 'us-central1', service: { name: 'runtime' } }]
  const config = { alerts: { notificationChannels: [onCall], ...settings }, stacks }
  const directory = t.testdir({ 'driftwatch.yaml': JSON.stringify(config) })
  const [out, err] = [[] as string[], [] as string[]]
  const code = await runCli(
    ['alerts', ...args.split(' ').filter(Boolean), '--config', `${directory}/driftwatch.yaml`],
    {
      stdout: { write: text => out.push(text) },
      stderr: { write: text => err.push(text) },
      variables: { MONITORING_EMULATOR_HOST: monitoring.host },
      clock: systemClock,
      nodeVersion: process.version,
      signal: new AbortController().signal,
    },
  )
  return { code, stdout: out.join(''), stderr: err.join('') }
}

async function buildMonitoring(t: Test, options: MonitoringOptions = {}): Promise<Monitoring> {
  const monitoring = await startMonitoring({ notificationChannels: [onCall], ...options })
  t.teardown(() => monitoring.close())
  return monitoring
}

t.test('driftwatch alerts plan and apply print the changes, ask, apply them, and then find none', async t => {
  const monitoring = await buildMonitoring(t)
  const planned = await alerts(t, monitoring, 'plan')
  t.match(planned, { code: 2, stdout: /Alerts of monitor driftwatch in project acme-production\nChanges\n/ })
  t.equal(planned.stdout.match(/ {2}create policy/g)?.length, 3)
  t.match(await alerts(t, monitoring, 'apply'), {
    code: 1,
    stderr: /needs confirmation\. Nothing was changed\. Pass --yes/,
  })
  t.strictSame(monitoring.policies(), [], 'nothing is written without confirmation')
  t.match(await alerts(t, monitoring, 'apply --yes'), { code: 0, stdout: /done\n$/, stderr: /create policy/ })
  t.match(await alerts(t, monitoring, 'plan'), { code: 0, stdout: /No changes/ })
  t.match(await alerts(t, monitoring, 'apply'), { code: 0 }, 'without changes it does not ask')
  t.match(await alerts(t, monitoring, 'plan --service other --project elsewhere'), {
    code: 2,
    stdout: /monitor other in project elsewhere/,
  })
})

t.test('driftwatch alerts prints an error that names the cause', async t => {
  const monitoring = await buildMonitoring(t, { roles: ['roles/monitoring.viewer'] })
  t.match(await alerts(t, monitoring, 'apply --yes'), {
    code: 1,
    stdout:
      /\n7 of 7 steps failed\n.*\n +Cloud Monitoring Create\w+ for projects\/acme-production.* failed: Permission monitoring\.metricDescriptors\.create denied/,
    stderr: /^(create .*\n {2}failed\n){7}$/,
  })
  monitoring.setRoles([])
  t.match(await alerts(t, monitoring, 'plan'), { code: 1, stderr: /monitoring\.metricDescriptors\.get denied/ })
  t.match(await alerts(t, monitoring, ''), {
    code: 1,
    stderr: /alerts: missing subcommand: expected one of plan, apply/,
  })
  t.match(await alerts(t, monitoring, 'plan now'), { code: 1, stderr: /alerts plan: Unexpected argument .now./ })
  t.match(await alerts(t, monitoring, 'plan --service A"'), {
    code: 1,
    stderr: /invalid --service ".*": expected the name of a Cloud Run service/,
  })
  const missing = await buildMonitoring(t, { notificationChannels: [] })
  t.match(await alerts(t, missing, 'apply --yes'), { code: 1, stdout: /notification channel .* does not exist/ })
  t.equal(missing.policies().length, 3)
})

t.test('the emulator rejects what Cloud Monitoring rejects', async t => {
  const paging = await buildPaging(t)
  await paging.apply()
  const { startDeadline } = await import('../../src/concurrency/deadline.ts')
  const deadline = startDeadline(paging.clock, minute)
  t.teardown(() => deadline.cancel())
  const resource = { type: 'generic_task', labels: identityLabels }
  const point = { metric: driftedMetric, labels: { stack: 'a', check: 'b' }, value: 0 }
  const refused = async (batch: Parameters<Paging['client']['writePoints']>[1], message: RegExp) =>
    t.rejects(paging.client.writePoints(project, batch, deadline), { code: 'INVALID_ARGUMENT', message })
  const at = paging.clock.now()
  const many = Array.from({ length: 201 }, (_, index) => ({ ...point, labels: { stack: `s${index}`, check: 'b' } }))
  await refused({ points: many, resource, at }, /maximum of 200 TimeSeries/)
  await refused({ points: [point, point], resource, at }, /Duplicate TimeSeries/)
  await refused({ points: [point], resource: { ...resource, type: 'cloud_run_revision' }, at }, /resource type/)
  await refused({ points: [point], resource: { ...resource, labels: {} }, at }, /Missing label "project_id"/)
  const nowhere = { ...resource, labels: { ...identityLabels, location: 'nowhere' } }
  await refused({ points: [point], resource: nowhere, at }, /Unrecognized region/)
  await refused({ points: [point], resource, at: at + 10 * minute }, /in the future/)
  await paging.client.writePoints(project, { points: [point], resource, at }, deadline)
  await refused({ points: [point], resource, at }, /must be written in order/)
  await refused({ points: [point], resource, at: at + 5000 }, /more frequently than/)
  const [wanted] = paging.monitoring.policies()
  const broken = (override: object) => () =>
    paging.monitoring.createPolicy(project, { ...wanted, name: '', ...override })
  t.throws(broken({ notificationChannels: ['projects/p/notificationChannels/9'] }), /Notification channel not found/)
  t.throws(broken({ conditions: [] }), /between 1 and 6/)
  t.throws(broken({ alertStrategy: { autoClose: { seconds: 60 } } }), /between 30 minutes and 7 days/)
  t.throws(broken({ userLabels: { Bad: 'x' } }), /user_labels/)
})

const identityLabels = {
  project_id: project,
  location: 'us-central1',
  namespace: 'driftwatch',
  job: 'driftwatch',
  task_id: 'x',
}
