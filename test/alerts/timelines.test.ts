import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { Incident } from '../../sandbox/monitoring/incidents.ts'
import type { Status } from '../../src/checks/status.ts'
import { type PlaceState, unlistedPlace } from '../../src/drift/places.ts'
import type { State } from '../../src/drift/state.ts'
import { createStore, type Snapshot } from '../../src/drift/store.ts'
import { buildAlertsConfig, buildPaging, incidentName, type Paging } from '../helpers/paging.ts'
import { buildDriftedState, buildSnapshot, buildStackStates, buildState } from '../helpers/states.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute

/** The letters of a timeline. Each is a cycle; `_` is a monitor that is down. */
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
 * Plays a timeline with a cycle every `everyMs`. Each opened or closed incident follows its letter:
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

async function timeline(
  t: Test,
  expected: string,
  { alerts = {}, everyMs = 30 * second, top = {} } = {},
): Promise<void> {
  const paging = await buildPaging(t, { config: buildAlertsConfig(alerts, ['runtime'], top) })
  await paging.apply()
  const played = await play(paging, expected.replaceAll(/ [+-]\w+/g, ''), everyMs)
  t.equal(played, expected)
}

t.test('drift opens one incident, and recovery closes it', async t => {
  await timeline(t, 'S S D D D D +drifted D D S -drifted S S')
})

t.test('a flapping check opens no incident', async t => {
  await timeline(t, 'S D S D S D S D S D S D S D S D')
  await timeline(t, 'S U S U S U S U S U S U S U S U', { alerts: { unknownAfter: '1m' } })
})

t.test('a difference that a rollout explains opens no incident; one that remains after it does', async t => {
  await timeline(t, 'S P P P P P P S S')
  await timeline(t, 'S P P P P D D D D +drifted D P -drifted S')
})

t.test('failed probes close no incident; the next observation in sync does', async t => {
  await timeline(t, 'S D D D D +drifted U U U U D D U U S -drifted')
})

t.test(
  'an unknown check opens an incident only after unknownAfter, and each observation restarts that time',
  async t => {
    await timeline(t, 'S U U U U U U +unknown U S -unknown S', { alerts: { unknownAfter: '2m' } })
    await timeline(t, 'S U U U S U U U S U U U U U U +unknown', { alerts: { unknownAfter: '2m' } })
  },
)

t.test('a check that depends on a failed check opens no incident', async t => {
  await timeline(t, 'S W W W W W W W W W W', { alerts: { unknownAfter: '1m' } })
})

t.test('a stopped monitor opens the silent incident and keeps the others open; its return closes silent', async t => {
  await timeline(t, 'S S _ _ _ _ _ _ +silent _ S -silent S')
  await timeline(t, 'S D D D D +drifted _ _ _ _ _ _ +silent _ D -silent D S -drifted')
})

const documented = readFileSync(new URL('../../docs/alerts.md', import.meta.url), 'utf8')
const [, timelines = ''] = /```text\n(.*?)```/s.exec(documented) ?? []

t.test('the timelines of docs/alerts.md are correct', async t => {
  const lines = timelines.trim().split('\n')
  t.ok(lines.length > 8)
  for (const line of lines) await timeline(t, line, { alerts: { unknownAfter: '2m' } })
})

/** A schedule with one cycle every `minutes`, and a staleAfter that fits it. */
const each = (minutes: number) => ({
  schedule: minutes < 60 ? `*/${minutes} * * * *` : `0 */${minutes / 60} * * *`,
  staleAfter: `${2 * minutes + 1}m`,
})

const slow = [2, 3, 5, 15, 60, 240]

t.test('with a cycle a minute or more, an incident opens within two minutes of the first drifted cycle', async t => {
  for (const everyMs of [10 * second, 15 * second, 20 * second, 30 * second, minute]) {
    const opened = await opensAfter(t, everyMs, { schedule: `*/${everyMs / second} * * * * *`.replace('*/60', '0') })
    t.ok(opened <= 2 * minute, `every ${everyMs / second} s: ${opened / second} s`)
  }
})

t.test('with fewer cycles, an incident opens within two and a half minutes of the second drifted cycle', async t => {
  for (const minutes of slow) {
    const opened = await opensAfter(t, minutes * minute, each(minutes))
    t.ok(opened > minutes * minute, `every ${minutes} min: not before the second cycle`)
    t.ok(opened <= (minutes + 2.5) * minute, `every ${minutes} min: ${opened / minute} min`)
  }
})

/** The time from the first drifted cycle to the incident. */
async function opensAfter(t: Test, everyMs: number, top: object): Promise<number> {
  const paging = await buildPaging(t, { config: buildAlertsConfig({}, ['runtime'], top) })
  await paging.apply()
  await play(paging, 'S S S', everyMs)
  const first = paging.clock.now()
  await play(paging, 'D'.repeat(Math.max(3, Math.ceil((2 * minute) / everyMs))), everyMs)
  const [incident] = paging.monitoring.incidents
  return (incident?.openedAt ?? Number.POSITIVE_INFINITY) - first
}

t.test('a single deviating cycle opens no incident, even if it is the first or cycles are rare', async t => {
  for (const minutes of [1, ...slow]) {
    const options = { everyMs: minutes * minute, top: each(minutes), alerts: { unknownAfter: '1m' } }
    await timeline(t, 'D S S D S D S S U S U S', options)
  }
})

t.test('with rare cycles, a check opens an incident after the second unknown cycle', async t => {
  for (const minutes of slow) {
    const paging = await buildPaging(t, {
      config: buildAlertsConfig({ unknownAfter: '1m' }, ['runtime'], each(minutes)),
    })
    await paging.apply()
    t.match(await play(paging, 'S S U U U', minutes * minute), /^S S U U( \+unknown U| U \+unknown)$/, `${minutes} min`)
    t.match(await play(paging, 'S S', minutes * minute), /^S -unknown S$/)
  }
})

t.test('early or late cycles open no additional incident and interrupt none', async t => {
  for (const minutes of [1, ...slow]) {
    const paging = await buildPaging(t, { config: buildAlertsConfig({}, ['runtime'], each(minutes)) })
    await paging.apply()
    const told: string[] = []
    for (const [index, letter] of [...'SDSDSSDDDD'].entries()) {
      told.push(await play(paging, letter, minutes * minute + (index % 2 === 0 ? 9 : -9) * second))
    }
    t.match(told.join(' '), /^S D S D S S D D( \+drifted)? D( \+drifted)? D$/, `every ${minutes} min`)
    t.equal(paging.monitoring.incidents.length, 1)
  }
})

t.test(
  'nights without cycles delay no incident of the day, and open the silent incident only after its threshold',
  async t => {
    const top = { schedule: '*/5 8-20 * * *', staleAfter: '12h' }
    const paging = await buildPaging(t, { config: buildAlertsConfig({}, ['runtime'], top) })
    await paging.apply()
    t.equal(await play(paging, 'S S D D D', 5 * minute), 'S S D D +drifted D')
    t.equal(await play(paging, 'S', 11 * hour + 5 * minute), 'S -drifted')
    t.equal(await play(paging, 'D', 11 * hour + 5 * minute), 'D')
    t.equal(await play(paging, 'S S', 5 * minute), 'S S')
  },
)

t.test('an incident contains the check, the commands to run, and links', async t => {
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
  t.match(
    incident?.content,
    `curl -sS -H "Authorization: Bearer $(gcloud auth print-identity-token)" 'https://drift.acme.dev/drift/runtime/job-image?format=text'`,
  )
  t.notMatch(incident?.content, '${', 'no placeholder remains')
})

t.test('200 stacks that drift at once open 200 incidents of one policy, and no write is rejected', async t => {
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

t.test(
  'when a new instance takes over, no incident closes or opens twice, and the silent policy does not fire',
  async t => {
    const paging = await buildPaging(t)
    await paging.apply()
    t.equal(await play(paging, 'S D D D D'), 'S D D D D +drifted')
    await paging.restart('instance-b')
    t.equal(await play(paging, 'D D D D S S'), 'D D D D S -drifted S')
    t.equal(paging.monitoring.incidents.length, 1)
  },
)

t.test('two concurrent instances never write the same series', async t => {
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

t.test('a stack that is removed while Driftwatch runs gets a last 0, and its incident closes', async t => {
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
  for (const _ of '0'.repeat(60)) {
    await paging.publish(snapshotOf({ status: 'drifted' }, ['runtime']))
    paging.pass(30 * second)
  }
  const { points = [] } = driftedSeries(paging, 'other') ?? {}
  t.strictSame(
    points.slice(0, 5).map(({ value }) => value),
    [1, 1, 1, 1, 0],
  )
  t.equal(points.length, 4 + 30, 'zeros for 15 minutes, then no more points')
})

function driftedSeries(paging: Paging, stack: string, instance = 'instance-a') {
  return paging.monitoring
    .series('acme-production', 'metric.type = "custom.googleapis.com/driftwatch/check_drifted"')
    .find(({ metricLabels, resourceLabels }) => metricLabels.stack === stack && resourceLabels.task_id === instance)
}

t.test('a restart keeps the incident of a drifted stack, and the fix closes it', async t => {
  for (const downMs of [0, 10 * minute]) {
    const paging = await buildPaging(t)
    await paging.apply()
    t.equal(await play(paging, 'S D D D D'), 'S D D D D +drifted')
    await paging.restart('instance-b')
    paging.pass(downMs)
    t.match(await play(paging, 'S S S'), /^S( -silent| -drifted)* S( -silent| -drifted)* S$/)
    t.strictSame(paging.open(), [])
    t.equal(paging.monitoring.incidents.filter(({ policy }) => /drifted/.test(policy)).length, 1)
  }
})

t.test('an incident stays open while one of two instances reports the drift, and closes when neither does', async t => {
  const paging = await buildPaging(t)
  await paging.apply()
  await play(paging, 'S D D D D')
  const young = paging.join('instance-b')
  const both = async (old: Status, fresh: Status) => {
    await paging.publish(snapshotOf({ status: old }))
    paging.pass(15 * second)
    await paging.publish(snapshotOf({ status: fresh }), young)
    paging.pass(15 * second)
  }
  for (const _ of '1234') await both('drifted', 'in_sync')
  t.strictSame(paging.open(), ['runtime/job-image drifted'])
  await paging.channel.close()
  for (const _ of '1234') {
    await paging.publish(snapshotOf({ status: 'in_sync' }), young)
    paging.pass(30 * second)
  }
  t.strictSame(paging.open(), [])
  t.equal(paging.monitoring.incidents.length, 1)
})

t.test(
  'the incident of a stack that a deploy removes closes, however long the old instance continues to publish it',
  async t => {
    for (const minutes of [0.5, 3, 12, 40]) {
      const config = buildAlertsConfig({}, ['runtime', 'other'])
      const paging = await buildPaging(t, { config })
      await paging.apply()
      const old = () => paging.publish(snapshotOf({ status: 'drifted' }, ['runtime', 'other']))
      for (const _ of 'DDDD') {
        await old()
        paging.pass(30 * second)
      }
      const young = paging.join('instance-b')
      const fresh = () => paging.publish(snapshotOf({ status: 'drifted' }, ['runtime']), young)
      for (const _ of '0'.repeat(minutes * 2)) {
        await fresh()
        paging.pass(10 * second)
        await old()
        paging.pass(20 * second)
      }
      t.strictSame(
        paging.open(),
        ['runtime/job-image drifted', 'other/job-image drifted'],
        'one drifted instance is enough',
      )
      await paging.channel.close()
      for (const _ of '123456') {
        await fresh()
        paging.pass(30 * second)
      }
      t.strictSame(paging.open(), ['runtime/job-image drifted'], `${minutes} min with two instances`)
      t.equal(paging.monitoring.incidents.length, 2, 'no incident opened twice')
    }
  },
)

t.test('with rare cycles, the incident of a stack that a deploy removes closes, too', async t => {
  const config = buildAlertsConfig({}, ['runtime', 'other'], each(60))
  const paging = await buildPaging(t, { config })
  await paging.apply()
  for (const _ of 'DDD') {
    await paging.publish(snapshotOf({ status: 'drifted' }, ['runtime', 'other']))
    paging.pass(hour)
  }
  t.equal(paging.open().length, 2)
  const young = paging.join('instance-b')
  for (const old of [true, true, false, false, false]) {
    if (old) await paging.publish(snapshotOf({ status: 'drifted' }, ['runtime', 'other']))
    paging.pass(minute)
    await paging.publish(snapshotOf({ status: 'drifted' }, ['runtime']), young)
    paging.pass(hour - minute)
  }
  t.strictSame(paging.open(), ['runtime/job-image drifted'])
})

t.test('a stack that was removed while Driftwatch was down gets a last 0, too', async t => {
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

t.test('a new instance that cannot list the place of a discovered stack closes none of its incidents', async t => {
  const here = { project: 'acme-production', region: 'us-central1' }
  const listed = (at: number): PlaceState => ({ ...unlistedPlace(here), observedAt: at, staleAt: at + 5 * minute })
  const denied = { code: 'PERMISSION_DENIED', message: 'run.services.list denied', at: 0 } as const
  const doubts: Record<string, (at: number) => PlaceState> = {
    'never listed': () => ({ ...unlistedPlace(here), error: denied }),
    'no longer listed': at => ({ ...listed(at), error: denied }),
    'with duplicate labels': at => ({ ...listed(at), problems: [{ stack: 'runtime', message: 'two of it' }] }),
  }
  for (const [title, doubt] of Object.entries(doubts)) {
    const paging = await buildPaging(t)
    await paging.apply()
    await play(paging, 'S D D D D')
    await paging.restart('instance-b')
    const publish = async (place: PlaceState) => {
      await paging.publish({ ...snapshotOf({}, []), discovery: [place] })
      paging.pass(30 * second)
    }
    for (const _ of '0'.repeat(30)) await publish(doubt(paging.clock.now()))
    t.strictSame(paging.open(), ['runtime/job-image drifted'], `${title}: the stack may still exist`)
    for (const _ of '0'.repeat(15)) await publish(listed(paging.clock.now()))
    t.strictSame(paging.open(), [], `${title}, then removed`)
  }
})

t.test('incidents of a stopped monitor stay open until autoClose, not for half an hour', async t => {
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

t.test('the published states of the store open and close incidents as in the timelines', async t => {
  const config = buildAlertsConfig({}, ['runtime'], { staleAfter: '2m', rolloutGrace: '1m' })
  const paging = await buildPaging(t, { config })
  await paging.apply()
  const check = { kind: 'service-image', needs: [], appliesTo: () => true, judge: () => finding('in_sync') } as const
  const store = createStore(config, () => [check], paging.clock.now())
  const told: string[] = []
  for (const letter of 'SSFSFFDDDDFFFFFFFS') {
    const now = paging.clock.now()
    store.age(now)
    const error = { code: 'UNAVAILABLE', message: 'Cloud Run did not respond', at: now } as const
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
  t.equal(told.join(' '), 'S S F S F F D D D D opened F F F F F F F S closed', 'F is a failed probe')
})

function finding(status: Status) {
  const differences = status === 'drifted' ? buildDriftedState().differences : []
  return {
    status,
    summary: '',
    differences,
    notes: [],
    unknownReason: null,
    proven: differences.map(d => d.path),
  }
}
