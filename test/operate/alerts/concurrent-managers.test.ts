import t, { type Test } from 'tap'
import type { MonitoringFault } from '../../../sandbox/monitoring.ts'
import type { ReconcilerContext } from '../../../src/alerts/policies/policy-reconciler.ts'
import { createMonitoringClient } from '../../../src/clients/monitoring/monitoring.ts'
import { systemClock } from '../../../src/clock.ts'
import { createLog } from '../../../src/cloud-log.ts'
import type { Config } from '../../../src/config/config.ts'
import { createPolicyManager } from '../../../src/operate/alerts/manage-policies.ts'
import { buildAlertsConfig, buildPaging, identityOf, type Paging, project } from '../../helpers/paging.ts'

const baseUrl = 'https://drift.acme.dev'
const kinds = ['drifted', 'silent', 'unknown']

/** A manager of its own, with its own connections to Cloud Monitoring. */
function startManager(t: Test, paging: Paging, instance: string, who: { config?: Config; project?: string } = {}) {
  // Retries wait in real time, because no test advances the clock during a call.
  const clock = { ...paging.clock, sleep: systemClock.sleep }
  const emulatorHost = paging.monitoring.host
  const client = createMonitoringClient({ clock, emulatorHost })
  t.teardown(() => client.close())
  const manage = createPolicyManager({ emulatorHost })
  const context: ReconcilerContext = {
    client,
    config: who.config ?? paging.config,
    clock,
    log: createLog({ level: 'silent', clock }),
    identity: { ...identityOf(instance), project: who.project ?? project },
    signal: new AbortController().signal,
    onRequest: () => {},
  }
  return () => manage(context)
}

/** The same numbers from 0 to 1 for each seed. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}

/** Delays of the next calls, so that each seed interleaves the managers in another way. */
function delaysOf(seed: number): MonitoringFault[] {
  const random = randomOf(seed)
  const methods = ['ListAlertPolicies', 'CreateAlertPolicy', 'DeleteAlertPolicy', 'GetMetricDescriptor', 'List*']
  return Array.from({ length: 20 }, () => ({
    method: methods[Math.floor(random() * methods.length)] ?? '*',
    latencyMs: Math.floor(random() * 12),
    times: 1,
  }))
}

function kindsOf(paging: Paging, of = project): (string | undefined)[] {
  return paging.monitoring
    .policies()
    .filter(({ name }) => name.startsWith(`projects/${of}/`))
    .map(({ userLabels }) => userLabels.driftwatch_alert)
    .sort()
}

t.test('two services that start together on an empty project leave three policies and one uptime check', async t => {
  const config = buildAlertsConfig({ baseUrl, uptimeCheck: true })
  let doubled = 0
  for (let seed = 1; seed <= 16; seed++) {
    const paging = await buildPaging(t, { config })
    paging.monitoring.setFaults(delaysOf(seed))
    const managers = ['instance-a', 'instance-b'].map(name => startManager(t, paging, name))
    const results = await Promise.all(managers.map(manage => manage()))
    t.strictSame(kindsOf(paging), kinds, `seed ${seed}`)
    t.equal(paging.monitoring.uptimeChecks().length, 1, `seed ${seed}`)
    t.ok(
      results.some(({ problem }) => problem === null),
      `seed ${seed}: who ends last finds nothing to do`,
    )
    doubled += paging.monitoring.calls.all.filter(({ method }) => method === 'CreateAlertPolicy').length > 3 ? 1 : 0
  }
  t.ok(doubled > 8, `${doubled} of 16 interleavings created a policy twice`)
})

t.test('so do three services', async t => {
  for (let seed = 1; seed <= 6; seed++) {
    const paging = await buildPaging(t)
    paging.monitoring.setFaults(delaysOf(seed))
    const managers = ['instance-a', 'instance-b', 'instance-c'].map(name => startManager(t, paging, name))
    await Promise.all(managers.map(manage => manage()))
    t.strictSame(kindsOf(paging), kinds, `seed ${seed}`)
  }
})

t.test('policies that are listed only later are deleted by the next run, which comes soon', async t => {
  const paging = await buildPaging(t, { policyListedAfterMs: 60_000 })
  const [one, other] = ['instance-a', 'instance-b'].map(name => startManager(t, paging, name))
  const first = await one?.()
  t.match(first, { again: true })
  t.match(await other?.(), { again: true })
  t.equal(paging.monitoring.policies().length, 6, 'neither saw the policies of the other one')
  const oldest = paging.monitoring.policies().slice(0, 3)
  paging.clock.advance(300_000)
  await Promise.all([one?.(), other?.()])
  t.strictSame(
    paging.monitoring.policies().map(({ name }) => name),
    oldest.map(({ name }) => name),
  )
  t.strictSame(await one?.(), { problem: null, again: false })
})

t.test('a creation whose response was lost makes no second policy, and does not count as failed', async t => {
  for (const code of ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'INTERNAL'] as const) {
    const config = buildAlertsConfig({ baseUrl, uptimeCheck: true })
    const paging = await buildPaging(t, { config })
    const lost = (method: string, times: number) => ({ method, code, afterwards: true, times })
    paging.monitoring.setFaults([lost('CreateAlertPolicy', 4), lost('CreateUptimeCheckConfig', 2)])
    t.strictSame(await paging.apply(), [], code)
    t.strictSame(kindsOf(paging), kinds, code)
    t.equal(paging.monitoring.uptimeChecks().length, 1, code)
  }
})

t.test('duplicates of an earlier start are deleted, and policies of others stay', async t => {
  const paging = await buildPaging(t)
  await paging.apply()
  const [first] = paging.monitoring.policies()
  const copy = (userLabels: object) =>
    paging.monitoring.createPolicy(project, {
      ...first,
      name: '',
      conditions: first?.conditions.map(condition => ({ ...condition, name: '' })),
      userLabels,
    })
  copy({ ...first?.userLabels })
  copy({ ...first?.userLabels })
  copy({ ...first?.userLabels, driftwatch_monitor: 'other' })
  copy({})
  await startManager(t, paging, 'instance-a')()
  const names = paging.monitoring.policies().map(({ name }) => name)
  t.equal(names.length, 5)
  t.ok(names.includes(first?.name ?? ''), 'the oldest one stays')
})

t.test('the same name in two projects is two monitors, which do not touch the policies of each other', async t => {
  const paging = await buildPaging(t)
  const config = buildAlertsConfig({ severity: 'warning' }, ['ledger'])
  const here = startManager(t, paging, 'instance-a')
  const there = startManager(t, paging, 'instance-b', { config, project: 'acme-staging' })
  for (const _ of [1, 2]) await Promise.all([here(), there()])
  const severities = (of: string) =>
    paging.monitoring
      .policies()
      .filter(({ name }) => name.startsWith(`projects/${of}/`))
      .map(({ severity }) => severity)
  t.strictSame(severities(project), ['CRITICAL', 'ERROR', 'WARNING'])
  t.strictSame(severities('acme-staging'), ['CRITICAL', 'WARNING', 'WARNING'])
})
