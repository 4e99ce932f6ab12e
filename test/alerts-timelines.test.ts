import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { Incident } from '../sandbox/monitoring/incidents.ts'
import type { Status } from '../src/checks/status.ts'
import type { State } from '../src/drift/state.ts'
import { createStore, type Snapshot } from '../src/drift/store.ts'
import { buildAlertsConfig, buildPaging, incidentName, type Paging } from './helpers/paging.ts'
import { buildDriftedState, buildSnapshot, buildStackStates, buildState } from './helpers/states.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute

/** What a letter of a timeline stands for. Each is a cycle; `_` is a monitor that is down. */
const letters: Readonly<Record<string, Partial<State> | null>> = {
  S: { status: 'in_sync' },
  P: { status: 'pending' },
  D: { status: 'drifted' },
  U: { status: 'unknown' },
  // The check waits for another one, which has found its subject missing.
  W: { status: 'unknown', error: { code: 'DEPENDS_ON', message: 'service-image has found no service', at: 0 } },
  _: null,
}

let cycles = 0

function snapshotOf(state: Partial<State>, stacks: readonly string[] = ['runtime']): Snapshot {
  cycles += 1
  const build = state.status === 'drifted' ? buildDriftedState : buildState
  return buildSnapshot({
    cycle: { id: cycles, startedAt: 0, durationMs: 1 },
    stacks: stacks.map(name => buildStackStates({ name, states: [build({ check: 'job-image', ...state })] })),
  })
}

/**
 * Plays a timeline, a cycle each `everyMs`: what opens and closes is told at the letter after which it did, as in
 * `S D D +drifted S -drifted`.
 */
async function play(paging: Paging, timeline: string, everyMs = 30 * second): Promise<string> {
  const told: string[] = []
  for (const letter of timeline.replaceAll(' ', '')) {
    const state = letters[letter]
    if (state === undefined) throw new Error(`a timeline has no letter ${letter}`)
    if (state !== null && (await paging.publish(snapshotOf(state))) !== 'ok') throw new Error('not published')
    const before = new Set(paging.open())
    paging.pass(everyMs)
    const after = paging.open()
    told.push(
      letter,
      ...after.filter(name => !before.has(name)).map(name => `+${shortName(name)}`),
      ...[...before].filter(name => !after.includes(name)).map(name => `-${shortName(name)}`),
    )
  }
  return told.join(' ')
}

const shortName = (name: string) => name.slice(name.lastIndexOf(' ') + 1)

async function timeline(t: Test, expected: string, { alerts = {}, everyMs = 30 * second } = {}): Promise<void> {
  const paging = await buildPaging(t, { config: buildAlertsConfig(alerts) })
  await paging.apply()
  const played = await play(paging, expected.replaceAll(/ [+-]\w+/g, ''), everyMs)
  t.equal(played, expected)
}

t.test('a drift opens one incident, and its recovery closes it', async t => {
  await timeline(t, 'S S D D D D +drifted D D S -drifted S S')
})

t.test('a look that flaps opens none, however long', async t => {
  await timeline(t, 'S D S D S D S D S D S D S D S D')
  await timeline(t, 'S U S U S U S U S U S U S U S U', { alerts: { unknownAfter: '1m' } })
})

t.test('what a rollout explains opens none; what it leaves behind does', async t => {
  await timeline(t, 'S P P P P P P S S')
  await timeline(t, 'S P P P P D D D D +drifted D P -drifted S')
})

t.test('losing sight closes no incident, and seeing again that it is mended does', async t => {
  await timeline(t, 'S D D D D +drifted U U U U D D U U S -drifted')
})

t.test('being blind pages only after unknownAfter, and a moment of sight begins it anew', async t => {
  await timeline(t, 'S U U U U U U +unknown U S -unknown S', { alerts: { unknownAfter: '2m' } })
  await timeline(t, 'S U U U S U U U S U U U U U U +unknown', { alerts: { unknownAfter: '2m' } })
})

t.test('a check that waits for another one pages nobody', async t => {
  await timeline(t, 'S W W W W W W W W W W', { alerts: { unknownAfter: '1m' } })
})

t.test(
  'a monitor that is killed is noticed, keeps the incidents that were open, and its return closes the alarm',
  async t => {
    await timeline(t, 'S S _ _ _ _ _ _ +silent _ S -silent S')
    await timeline(t, 'S D D D D +drifted _ _ _ _ _ _ +silent _ D -silent D S -drifted')
  },
)

const documented = readFileSync(new URL('../docs/alerts.md', import.meta.url), 'utf8')
const [, timelines = ''] = /```text\n(.*?)```/s.exec(documented) ?? []

t.test('the timelines of docs/alerts.md happen as they stand there', async t => {
  const lines = timelines.trim().split('\n')
  t.ok(lines.length > 8)
  for (const line of lines) await timeline(t, line, { alerts: { unknownAfter: '2m' } })
})

t.test('with one look in five minutes the first that shows a drift opens, and gaps are no silence', async t => {
  const config = buildAlertsConfig({}, ['runtime'], { schedule: '*/5 * * * *', staleAfter: '12m' })
  const paging = await buildPaging(t, { config })
  await paging.apply()
  t.equal(await play(paging, 'S S D D S S', 5 * minute), 'S S D +drifted D S -drifted S')
})

t.test(
  'an incident opens within two minutes of the first cycle that shows the drift, whatever the schedule',
  async t => {
    for (const everyMs of [10 * second, 15 * second, 30 * second, minute]) {
      const paging = await buildPaging(t)
      await paging.apply()
      await play(paging, 'S S', everyMs)
      const first = paging.clock.now()
      await play(paging, 'D'.repeat(Math.ceil((2 * minute) / everyMs)), everyMs)
      const [incident] = paging.monitoring.incidents
      t.ok(incident && incident.openedAt - first <= 2 * minute, `every ${everyMs / second} s`)
    }
  },
)

t.test('an incident says in itself what drifted, what mends it and where to look', async t => {
  const alerts = { baseUrl: 'https://drift.acme.dev/', runbookUrl: 'https://wiki.acme.dev/drift', severity: 'critical' }
  const paging = await buildPaging(t, { config: buildAlertsConfig(alerts) })
  await paging.apply()
  await play(paging, 'S D D D D')
  const [incident] = paging.monitoring.incidents
  t.match(incident, {
    severity: 'CRITICAL',
    subject: 'DRIFTED: job-image of runtime',
    labels: { stack: 'runtime', check: 'job-image' },
    links: ['https://drift.acme.dev/drift/runtime', 'https://wiki.acme.dev/drift'],
    notificationChannels: ['projects/acme-production/notificationChannels/4093201'],
  })
  t.match(incident?.content, 'driftwatch check --stack runtime --only job-image')
  t.match(incident?.content, `curl -s 'https://drift.acme.dev/drift/runtime/job-image?format=text'`)
  t.notMatch(incident?.content, '${', 'everything is filled in')
})

t.test('200 stacks that drift at once open 200 incidents of one policy, and no write is refused', async t => {
  const names = Array.from({ length: 200 }, (_, index) => `stack-${index}`)
  const config = buildAlertsConfig({}, names)
  const paging = await buildPaging(t, { config })
  await paging.apply()
  t.equal(paging.monitoring.policies().length, 3)
  for (const status of ['in_sync', 'drifted', 'drifted', 'drifted', 'drifted'] as const) {
    t.equal(await paging.publish(snapshotOf({ status }, names)), 'ok')
    paging.pass(30 * second)
  }
  const { incidents, calls } = paging.monitoring
  t.equal(incidents.length, 200)
  t.equal(new Set(incidents.map(incidentName)).size, 200, 'one for each stack and check')
  t.equal(new Set(incidents.map(({ policy }) => policy)).size, 1)
  t.strictSame(
    [...new Set(calls.all.filter(call => call.method === 'CreateTimeSeries').map(({ code }) => code))],
    ['OK'],
  )
  t.equal(calls.counts().CreateTimeSeries, 15, '401 points are three requests')

  t.equal(await paging.publish(snapshotOf({ status: 'in_sync' }, names)), 'ok')
  paging.pass(minute)
  t.strictSame(paging.open(), [], 'recovery closes them all')
})

t.test('a new instance takes over: nothing closes, nothing opens twice, and the alarm stays silent', async t => {
  const paging = await buildPaging(t)
  await paging.apply()
  t.equal(await play(paging, 'S D D D D'), 'S D D D D +drifted')
  await paging.restart('instance-b')
  t.equal(await play(paging, 'D D D D S S'), 'D D D D S -drifted S')
  t.equal(paging.monitoring.incidents.length, 1)
})

t.test('two instances side by side never write the same series, and one that sees the drift is enough', async t => {
  const paging = await buildPaging(t)
  await paging.apply()
  await play(paging, 'D D')
  await paging.restart('instance-b')
  await play(paging, 'D')
  const tasks = paging.monitoring
    .series('acme-production', 'metric.type = "custom.googleapis.com/driftwatch/heartbeat"')
    .map(({ resourceLabels }) => resourceLabels.task_id)
  t.strictSame(tasks, ['instance-a', 'instance-b'])
})

t.test('a stack that leaves while Driftwatch watches gets a last 0, and its incident closes', async t => {
  const config = buildAlertsConfig({}, ['runtime', 'other'])
  const paging = await buildPaging(t, { config })
  await paging.apply()
  for (const _ of 'DDDD') {
    await paging.publish(snapshotOf({ status: 'drifted' }, ['runtime', 'other']))
    paging.pass(30 * second)
  }
  t.strictSame(paging.open(), ['runtime/job-image drifted', 'other/job-image drifted'])
  await paging.publish(snapshotOf({ status: 'drifted' }, ['runtime']))
  paging.pass(minute)
  t.strictSame(paging.open(), ['runtime/job-image drifted'])
  const before = paging.monitoring.calls.counts().CreateTimeSeries
  await paging.publish(snapshotOf({ status: 'drifted' }, ['runtime']))
  t.equal(paging.monitoring.calls.counts().CreateTimeSeries, (before ?? 0) + 1)
  const last = paging.monitoring
    .series('acme-production', 'metric.type = "custom.googleapis.com/driftwatch/check_drifted"')
    .find(({ metricLabels }) => metricLabels.stack === 'other')
  t.match(
    last?.points.map(({ value }) => value),
    [1, 1, 1, 1, 0],
    'and no more after it',
  )
})

t.test('a stack that left while Driftwatch was down gets a last 0 too', async t => {
  const config = buildAlertsConfig({}, ['runtime', 'other'])
  const paging = await buildPaging(t, { config })
  await paging.apply()
  for (const _ of 'DDDD') {
    await paging.publish(snapshotOf({ status: 'drifted' }, ['runtime', 'other']))
    paging.pass(30 * second)
  }
  await paging.restart('instance-b')
  await paging.publish(snapshotOf({ status: 'drifted' }, ['runtime']))
  paging.pass(30 * second)
  await paging.publish(snapshotOf({ status: 'drifted' }, ['runtime']))
  paging.pass(2 * minute)
  t.strictSame(paging.open(), ['runtime/job-image drifted'])
})

t.test('a monitor that stays dead keeps its incidents for days, not for half an hour', async t => {
  const paging = await buildPaging(t, { config: buildAlertsConfig({ autoClose: '2d' }) })
  await paging.apply()
  await play(paging, 'D D D D')
  paging.pass(24 * hour)
  t.strictSame(paging.open(), ['runtime/job-image drifted', 'silent'])
  paging.pass(25 * hour)
  t.strictSame(paging.open(), [])
  const closedBy = paging.monitoring.incidents.map((incident: Incident) => incident.closedBy)
  t.strictSame(closedBy, ['auto-close', 'auto-close'])
})

t.test('the states of the store, published as they come, page as the timelines say', async t => {
  const config = buildAlertsConfig({}, ['runtime'], { staleAfter: '2m', rolloutGrace: '1m' })
  const paging = await buildPaging(t, { config })
  await paging.apply()
  const check = { kind: 'service-image', needs: [], appliesTo: () => true, judge: () => finding('in_sync') } as const
  const store = createStore(config, () => [check], paging.clock.now())
  const told: string[] = []
  for (const letter of 'SSFSFFDDDDFFFFFFFS') {
    const now = paging.clock.now()
    store.age(now)
    const error = { code: 'UNAVAILABLE', message: 'Cloud Run did not answer', at: now } as const
    store.record(
      'runtime',
      'service-image',
      letter === 'F'
        ? { kind: 'failure', error }
        : { kind: 'finding', finding: finding(letter === 'D' ? 'drifted' : 'in_sync'), observedAt: now },
    )
    cycles += 1
    store.cycleCompleted({ id: cycles, startedAt: now, durationMs: 1 })
    const before = paging.open().length
    await paging.publish(store.snapshot(now))
    paging.pass(30 * second)
    told.push(letter, ...(paging.open().length > before ? ['opened'] : paging.open().length < before ? ['closed'] : []))
  }
  t.equal(told.join(' '), 'S S F S F F D D D D opened F F F F F F F S closed', 'F is a look that fails')
})

function finding(status: Status) {
  const differences = status === 'drifted' ? buildDriftedState().differences : []
  return { status, summary: '', differences, notes: [], fix: null, doubt: null, proven: differences.map(d => d.path) }
}
