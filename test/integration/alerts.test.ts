import t, { type Test } from 'tap'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import type { Role } from '../../sandbox/monitoring/roles.ts'
import { startMonitoring } from '../../sandbox/monitoring.ts'
import { readScenario, type ScenarioName } from '../../sandbox/scenarios.ts'
import { loadWorld } from '../../sandbox/world.ts'
import { readEnvironment } from '../../src/config/environment.ts'
import { parseConfig } from '../../src/config/load.ts'
import type { Report } from '../../src/drift/report.ts'
import { createLog } from '../../src/log.ts'
import { createPolicyKeeper } from '../../src/operate/keep-policies.ts'
import { startService } from '../../src/service.ts'
import { createFastClock } from '../helpers/fast-clock.ts'
import { incidentName } from '../helpers/paging.ts'
import { until } from '../helpers/until.ts'

const onCall = 'projects/openagentsgemini/notificationChannels/1'

/** A second is half a minute: a cycle as by the default schedule. */
const speed = 30

/** The real service over sockets, with everything that it talks to, in fast time. */
async function build(t: Test, policies: 'off' | 'verify' | 'manage', roles: readonly Role[]) {
  const clock = createFastClock(speed)
  const since = clock.now()
  const cloudRun = await startCloudRun({ world: loadWorld({}, since) })
  const monitoring = await startMonitoring({ now: clock.now, roles, notificationChannels: [onCall] })
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
    timeout: '25s',
    host: '127.0.0.1',
    alerts: { policies, notificationChannels: [onCall] },
    stacks: [stack],
  }
  const service = await startService({
    config: parseConfig(JSON.stringify(config), 'test.yaml', {}),
    environment: readEnvironment({
      CLOUD_RUN_EMULATOR_HOST: cloudRun.host,
      MONITORING_EMULATOR_HOST: monitoring.host,
      PORT: '0',
    }),
    clock,
    log: createLog({ level: 'silent', clock }),
    nodeVersion: process.version,
    keepPolicies: policies === 'manage' ? createPolicyKeeper({ emulatorHost: monitoring.host }) : null,
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
    inject: (name: ScenarioName) => cloudRun.setWorld(loadWorld(readScenario(name).patch, clock.now(), since)),
    open: () => monitoring.incidents.filter(({ closedAt }) => closedAt === null).map(incidentName),
    async report() {
      return (await (await fetch(`${url}/drift`)).json()) as Report
    },
    metrics: async () => (await fetch(`${url}/metrics`)).text(),
  }
}

t.test('drift, page, mend, closed; and a monitor that is stopped is an alarm of its own', async t => {
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

t.test('with roles/monitoring.metricWriter alone it publishes, and the report says what it may not do', async t => {
  const { monitoring, report } = await build(t, 'verify', ['roles/monitoring.metricWriter'])
  const channel = await until(async () => {
    const found = (await report()).channels.find(({ channel }) => channel === 'cloud-monitoring')
    return found?.publishedAt != null && found.error !== null && found
  })
  t.equal(channel.error?.code, 'PERMISSION_DENIED')
  t.match(channel.error?.message, /alert policies were not looked after.*Permission monitoring\.\w+\.\w+ denied/)
  t.equal((await report()).status, 'in_sync', 'a channel is never in the status of a stack')
  t.strictSame(monitoring.policies(), [])
})
