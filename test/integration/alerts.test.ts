import t, { type Test } from 'tap'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import type { Role } from '../../sandbox/monitoring/roles.ts'
import { startMonitoring } from '../../sandbox/monitoring.ts'
import { readScenario, type ScenarioName } from '../../sandbox/scenarios.ts'
import { loadWorld, type WorldPatch } from '../../sandbox/world.ts'
import { createLog } from '../../src/cloud-log.ts'
import { readEnvironment } from '../../src/config/environment.ts'
import { parseConfig } from '../../src/config/load.ts'
import { createPolicyManager } from '../../src/operate/alerts/manage-policies.ts'
import type { Report } from '../../src/report/report.ts'
import { startServer } from '../../src/server.ts'
import { createFastClock } from '../helpers/fast-clock.ts'
import { fleetWorld, labelsOf } from '../helpers/fleet.ts'
import { incidentName } from '../helpers/paging.ts'
import { until } from '../helpers/until.ts'

const onCall = 'projects/openagentsgemini/notificationChannels/1'
const payments = 'projects/openagentsgemini/notificationChannels/2'

/** A second is half a minute, so that a cycle a second matches the default schedule. */
const speed = 30

/** The real service over sockets, with all its systems, on a fast clock. */
async function build(
  t: Test,
  policies: 'off' | 'verify' | 'manage',
  roles: readonly Role[],
  { world = {}, alerts = {}, top = {} }: { world?: WorldPatch; alerts?: object; top?: object } = {},
) {
  const clock = createFastClock(speed)
  const since = clock.now()
  const cloudRun = await startCloudRun({ world: loadWorld(world, since) })
  const monitoring = await startMonitoring({ now: clock.now, roles, notificationChannels: [onCall, payments] })
  const evaluating = setInterval(() => monitoring.evaluate(), 50)
  const stack = {
    name: 'runtime',
    project: 'openagentsgemini',
    region: 'us-central1',
    service: { name: 'runtime' },
    job: { name: 'runtime-migrate', command: ['runtime-migrate'] },
  }
  const config = {
    schedule: '* * * * * *',
    quota: { readsPerMinute: 6000 },
    timeout: '25s',
    host: '127.0.0.1',
    alerts: { policies, notificationChannels: [onCall], ...alerts },
    stacks: [stack],
    ...top,
  }
  const service = await startServer({
    config: parseConfig(JSON.stringify(config), 'test.yaml', {}),
    environment: readEnvironment({
      CLOUD_RUN_EMULATOR_HOST: cloudRun.host,
      MONITORING_EMULATOR_HOST: monitoring.host,
      PORT: '0',
    }),
    clock,
    log: createLog({ level: 'silent', clock }),
    nodeVersion: process.version,
    managePolicies: policies === 'manage' ? createPolicyManager({ emulatorHost: monitoring.host }) : null,
  })
  let closing: Promise<void> | null = null
  const stop = () => {
    closing ??= service.close()
    return closing
  }
  t.teardown(async () => {
    clearInterval(evaluating)
    await stop()
    await Promise.all([cloudRun.close(), monitoring.close()])
  })
  const url = `http://127.0.0.1:${service.port}`
  return {
    monitoring,
    stop,
    become: (patch: WorldPatch) => cloudRun.setWorld(loadWorld(patch, clock.now(), since)),
    inject: (name: ScenarioName) => cloudRun.setWorld(loadWorld(readScenario(name).patch, clock.now(), since)),
    open: () => monitoring.incidents.filter(({ closedAt }) => closedAt === null).map(incidentName),
    async report() {
      return (await (await fetch(`${url}/drift`)).json()) as Report
    },
    metrics: async () => (await fetch(`${url}/metrics`)).text(),
  }
}

t.test('drift opens an incident, and the fix closes it; a stopped monitor opens its own', async t => {
  const { monitoring, stop, inject, open, report, metrics } = await build(t, 'manage', ['roles/monitoring.editor'])
  await until(() => monitoring.policies().length === 3)
  const channels = await until(async () => {
    const found = (await report()).channels
    return found.every(({ publishedAt, error }) => publishedAt !== null && error === null) && found
  })
  t.strictSame(
    channels.map(({ channel }) => channel),
    ['log', 'cloud-monitoring'],
  )

  inject('job-left-behind')
  await until(() => open().length === 2)
  t.strictSame(open().sort(), ['runtime/job-image drifted', 'runtime/migration-execution drifted'])
  inject('healthy')
  await until(() => open().length === 0)
  t.ok(monitoring.incidents.every(({ closedBy }) => closedBy === 'recovery'))
  t.equal(monitoring.incidents.length, 2)

  const text = await metrics()
  t.match(text, /driftwatch_alert_publishes_total\{channel="cloud-monitoring",result="ok"\} [1-9]/)
  t.match(text, /driftwatch_api_requests_total\{api="monitoring",method="CreateTimeSeries",code="OK"\} [1-9]/)

  await stop()
  await until(() => open().length === 1)
  t.strictSame(open(), ['silent'])
})

t.test('with only roles/monitoring.metricWriter Driftwatch publishes, and reports the missing permission', async t => {
  const { monitoring, report } = await build(t, 'verify', ['roles/monitoring.metricWriter'])
  const channel = await until(async () => {
    const found = (await report()).channels.find(({ channel }) => channel === 'cloud-monitoring')
    // On a slow machine the fast clock may leave no time for a request.
    return found?.publishedAt != null && found.error?.code === 'PERMISSION_DENIED' && found
  })
  t.match(channel.error?.message, /alert policies could not be verified.*Permission monitoring\.\w+\.\w+ denied/)
  t.equal((await report()).status, 'in_sync', 'a channel is never in the status of a stack')
  t.strictSame(monitoring.policies(), [])
})

t.test('policies follow the discovered stacks, and do not change before the first discovery', async t => {
  const fleet = fleetWorld([{ name: 'ledger', serviceLabels: { ...labelsOf('ledger', 'service'), team: 'payments' } }])
  const { monitoring, report, become } = await build(t, 'manage', ['roles/monitoring.editor'], {
    world: { ...fleet, faults: [{ method: 'List*', code: 'PERMISSION_DENIED' }] } as WorldPatch,
    alerts: { routes: [{ name: 'payments', labels: { team: 'payments' }, notificationChannels: [payments] }] },
    top: { stacks: [], discover: [{ projects: ['openagentsgemini'], regions: ['us-central1'] }] },
  })
  const message = await until(async () => (await report()).channels.find(({ error }) => error !== null)?.error?.message)
  t.match(message, /alert policies could not be verified: cannot list the stacks to route: .*denied/)
  t.strictSame(monitoring.policies(), [])

  become(fleet)
  await until(() => monitoring.policies().length === 5)
  const drifted = monitoring.policies().filter(({ userLabels }) => userLabels.driftwatch_alert === 'drifted')
  t.strictSame(
    drifted.map(({ notificationChannels }) => notificationChannels),
    [[payments], [onCall]],
  )
  t.match(drifted[0]?.conditions[0]?.conditionThreshold?.filter, 'metric.label.stack = one_of("ledger")')
})
