import t from 'tap'
import type { Channel } from '../../src/alerts/channel.ts'
import { inspectAlerts } from '../../src/alerts/policies/inspect.ts'
import { createLog } from '../../src/cloud-log.ts'
import { createPolicyManager } from '../../src/operate/alerts/manage-policies.ts'
import { buildPaging, identityOf, type Paging, project } from '../helpers/paging.ts'
import { buildDriftedState, buildSnapshot, buildStackStates, buildState, noon } from '../helpers/states.ts'

const minute = 60_000
const error = { code: 'UNAVAILABLE', message: '', at: noon } as const

let cycles = 0

/** A cycle that watches one stack. */
function cycleOf(stack: string, status: 'in_sync' | 'drifted' | 'unknown' = 'in_sync') {
  cycles += 1
  const state =
    status === 'drifted' ? buildDriftedState() : buildState({ status, error: status === 'unknown' ? error : null })
  return buildSnapshot({
    cycle: { id: cycles, startedAt: 0, durationMs: 1 },
    stacks: [buildStackStates({ name: stack, states: [state] })],
  })
}

type Status = Parameters<typeof cycleOf>[1]

/** Publishes the cycles of several channels once in a minute; resolves with the last results. */
async function run(paging: Paging, minutes: number, cyclesOf: readonly [Channel, string, Status?][]) {
  let results: string[] = []
  for (let passed = 0; passed < minutes; passed++) {
    results = []
    for (const [channel, stack, status] of cyclesOf) results.push(await paging.publish(cycleOf(stack, status), channel))
    paging.pass(minute)
  }
  return results
}

function manage(paging: Paging, instance: string, location = 'us-central1') {
  const { client, config, clock } = paging
  return createPolicyManager({ emulatorHost: paging.monitoring.host })({
    client,
    config,
    clock,
    log: createLog({ level: 'silent', clock }),
    identity: { ...identityOf(instance), location },
    signal: new AbortController().signal,
    onRequest: () => {},
  })
}

const shared = (where: RegExp) => ({
  error: {
    code: 'MONITOR_SHARED',
    message: new RegExp(`monitor name driftwatch in project ${project}, ${where.source}`),
  },
})

t.test('installations of one name in two regions are reported, and close no incident of each other', async t => {
  const paging = await buildPaging(t)
  await paging.apply()
  const { channel } = paging
  await run(paging, 4, [[channel, 'ledger', 'drifted']])
  t.strictSame(paging.open(), ['ledger/job-image drifted'])
  const other = paging.join('instance-b', { location: 'europe-west1' })
  const results = await run(paging, 12, [
    [channel, 'ledger', 'unknown'],
    [other, 'runtime'],
  ])
  t.ok(paging.open().includes('ledger/job-image drifted'), 'an installation that cannot observe keeps its incident')
  t.strictSame(results, ['failed', 'failed'])
  for (const each of [channel, other]) t.match(each.state(), shared(/in europe-west1 and us-central1\. Give each/))
  await other.close()
  await run(paging, 10, [[channel, 'ledger']])
  t.equal(channel.state().error, null, 'the one that remains works again')
  t.strictSame(paging.open(), [])
})

t.test('so are installations of one region with different configurations, but not during a deploy', async t => {
  const paging = await buildPaging(t)
  const other = paging.join('instance-b')
  const both = [
    [paging.channel, 'ledger'],
    [other, 'runtime'],
  ] as const
  t.strictSame(await run(paging, 60, [[...both[0]], [...both[1]]]), ['ok', 'ok'], 'a deploy may last for an hour')
  t.strictSame(await run(paging, 10, [[...both[0]], [...both[1]]]), ['failed', 'failed'])
  t.match(other.state(), shared(/with different configurations: instances instance-a and instance-b\./))
})

t.test('instances of one configuration, however long they run together, are one installation', async t => {
  const paging = await buildPaging(t)
  const [second, third] = ['instance-b', 'instance-c'].map(name => paging.join(name)) as [Channel, Channel]
  const all = [paging.channel, second, third].map((each): [Channel, string] => [each, 'runtime'])
  t.strictSame(await run(paging, 80, all), ['ok', 'ok', 'ok'])
  await second.close()
  await run(paging, 1, [all[0], all[2]] as [Channel, string][])
  t.equal(paging.channel.state().error, null)
})

t.test('manage writes no policies while installations share a name, and plan names the problem', async t => {
  const paging = await buildPaging(t)
  const other = paging.join('instance-b', { location: 'europe-west1' })
  await run(paging, 2, [
    [paging.channel, 'ledger'],
    [other, 'runtime'],
  ])
  for (const [instance, location] of [
    ['instance-a', 'us-central1'],
    ['instance-b', 'europe-west1'],
  ] as const)
    await t.rejects(manage(paging, instance, location), {
      code: 'MONITOR_SHARED',
      message: /^nothing is written: several/,
    })
  t.strictSame(paging.monitoring.policies(), [])
  const { client, config, clock } = paging
  const options = { client, config, clock, signal: new AbortController().signal }
  const { problems } = await inspectAlerts(options, { project, monitor: 'driftwatch' })
  t.match(problems, [/^several installations use the monitor name driftwatch/])
  t.strictSame((await inspectAlerts(options, { project, monitor: 'watcher' })).problems, [], 'another name is free')
  await run(paging, 4, [[paging.channel, 'ledger']])
  await manage(paging, 'instance-a')
  t.equal(paging.monitoring.policies().length, 3, 'the one that remains writes')
})

t.test('without permission to read series, plan says that it does not know', async t => {
  const paging = await buildPaging(t)
  paging.monitoring.setFaults([{ method: 'ListTimeSeries', code: 'PERMISSION_DENIED' }])
  const { client, config, clock } = paging
  const options = { client, config, clock, signal: new AbortController().signal }
  const { notes, problems } = await inspectAlerts(options, { project, monitor: 'driftwatch' })
  t.match(notes, [/^cannot determine whether another installation uses this name: .*denied/])
  t.strictSame(problems, [])
})
