import t, { type Test } from 'tap'
import type { Check, CheckKind } from '../../src/checks/check.ts'
import type { Difference, Finding } from '../../src/checks/finding.ts'
import type { Status } from '../../src/checks/status.ts'
import { parseConfig } from '../../src/config/load.ts'
import type { Transition } from '../../src/drift/state.ts'
import { createStore, type Outcome, type Snapshot, type Store } from '../../src/drift/store.ts'
import type { ErrorCode } from '../../src/errors.ts'
import { createRenderer, type Renderer } from '../../src/report/rendered.ts'

/** The unit of a timeline, and its start. */
const minute = 60_000
const start = Date.parse('2026-11-23T12:00:00Z')

const kind: CheckKind = 'job-image'
const check: Check = {
  kind,
  needs: [],
  appliesTo: () => true,
  judge() {
    throw new Error('timelines provide their own findings')
  },
}

/** The longest pending period is 45 minutes. */
function buildStore({ staleAfter = '1d', rolloutGrace = '15m', maxDuration = '30m' } = {}): Store {
  const stack = { name: 'runtime', project: 'acme', region: 'us-central1' }
  const parts = { service: { name: 'runtime' }, job: { name: 'runtime-migrate', maxDuration } }
  const file = { schedule: '* * * * *', timeout: '10s', staleAfter, rolloutGrace, stacks: [{ ...stack, ...parts }] }
  return createStore(parseConfig(JSON.stringify(file), 'driftwatch.yaml', {}), () => [check], start)
}

const buildShortLivedStore = () => buildStore({ staleAfter: '5m' })

/** What happens to the check at a moment. `nothing`: no cycle runs. */
type Event = Finding | ErrorCode | 'nothing'

/** Minute, event, the status after it, and the minute at which that status began. */
type Step = readonly [at: number, event: Event, status: Status, since: number, more?: More]

type Change = readonly [from: Status, to: Status, since: number]

interface More {
  /** The changes of status that the cycle reports, in order. The default is the change between the two steps, if any. */
  readonly transitions?: readonly Change[]
  readonly error?: ErrorCode | null
  /** The minute of the last observation. */
  readonly observed?: number
  readonly note?: string
}

function differenceAt(path: string): Difference {
  return { path, kind: 'changed', expected: 'one', actual: 'another', via: null }
}

function finding(status: Status, paths: readonly string[], proven: readonly string[]): Finding {
  const differences = paths.map(differenceAt)
  return { status, summary: `The check is ${status}.`, differences, notes: [], unknownReason: null, proven }
}

const inSync = finding('in_sync', [], [])
/** A rollout explains every difference. */
const pending = (...paths: string[]) => finding('pending', paths, [])
/** No rollout explains the differences. */
const drifted = (...paths: string[]) => finding('drifted', paths, paths)
/** A rollout explains some of the differences. */
const partlyDrifted = (proven: string, explained: string) => finding('drifted', [proven, explained], [proven])
/** The probe succeeded, but proves nothing. */
const cannotJudge: Finding = {
  ...finding('unknown', [], []),
  unknownReason: { code: 'CONDITION_ABSENT', message: 'no condition' },
}
/** Images could not be compared during a rollout. */
const unresolved: Finding = {
  ...finding('pending', [], []),
  unknownReason: { code: 'IMAGE_UNRESOLVED', message: 'a tag and a digest' },
}

function outcomeOf(event: Exclude<Event, 'nothing'>, at: number): Outcome {
  if (typeof event === 'object') return { kind: 'finding', finding: event, observedAt: at }
  return { kind: 'failure', error: { code: event, message: 'not available', at } }
}

/** Goes through the steps on a new store, and compares the state after each. */
function follow(t: Test, steps: readonly Step[], store: Store = buildStore()): void {
  const render = createRenderer()
  let before: Status | null = null
  for (const [at, event, status, since, more = {}] of steps) {
    const now = start + at * minute
    const changes = event === 'nothing' ? null : cycle(store, event, now)
    const snapshot = store.snapshot(now)
    const state = snapshot.stacks[0]?.states[0]
    const title = `minute ${at}`
    t.ok(jsonOf(render, snapshot).equals(jsonOf(createRenderer(), snapshot)), `${title}: the report is current`)
    t.equal(state?.status, status, `${title}: status`)
    t.equal(state && (state.since - start) / minute, since, `${title}: since`)
    if (more.error !== undefined) t.equal(state?.error?.code ?? null, more.error, `${title}: error`)
    if (more.observed !== undefined) t.equal(state?.observedAt, start + more.observed * minute, `${title}: observedAt`)
    if (more.note !== undefined) t.match(state?.notes.join('\n'), more.note, `${title}: note`)
    const usual: Change[] = before === null || before === status ? [] : [[before, status, since]]
    if (changes) t.strictSame(changes.map(shown), more.transitions ?? usual, `${title}: transitions`)
    before = status
  }
}

function jsonOf(render: Renderer, snapshot: Snapshot): Buffer {
  return render(snapshot).report('json').body
}

/** What a cycle does to the states: it ages them, and records the result. */
function cycle(store: Store, event: Exclude<Event, 'nothing'>, now: number): Transition[] {
  const aged = store.age(now)
  return [...aged, store.record('runtime', kind, outcomeOf(event, now)) ?? []].flat()
}

function shown({ from, to, since }: Transition): Change {
  return [from, to, (since - start) / minute]
}

t.test('what was proven about one database does not apply to another', async t => {
  const record = (store: Store, finding: Finding, subject: string | null, minutes: number) => {
    const at = start + minutes * minute
    store.record('runtime', kind, { kind: 'finding', finding, observedAt: at, at, subject })
    return store.snapshot(at).stacks[0]?.states[0]?.status
  }
  for (const [subject, expected] of [
    ['first', 'drifted'],
    ['second', 'pending'],
    [null, 'drifted'],
  ] as const) {
    const store = buildStore()
    t.equal(record(store, drifted('job.image'), 'first', 1), 'drifted')
    t.equal(record(store, pending('job.image'), subject, 2), expected, `${subject}`)
  }
})

t.test('a finding that is stale when it is recorded is unknown, without a change back and forth', async t => {
  const store = buildShortLivedStore()
  const record = (observed: number, judged: number) => {
    const [observedAt, at] = [start + observed * minute, start + judged * minute]
    return store.record('runtime', kind, { kind: 'finding', finding: inSync, observedAt, at })
  }
  record(0, 0)
  t.match(record(-20, 1), { from: 'in_sync', to: 'unknown', since: start + minute })
  for (const at of [2, 3]) {
    t.equal(record(-20 + at, at), null)
    const [state] = store.snapshot(start + at * minute).stacks[0]?.states ?? []
    t.match(state, { status: 'unknown', since: start + minute, error: { code: 'STALE' } })
    t.equal(state?.observedAt, start + (at - 20) * minute)
  }
  t.match(record(4, 4), { from: 'unknown', to: 'in_sync', since: start + 4 * minute })
})

t.test('first findings', async t => {
  t.test('without an observation the status is unknown', async t => {
    follow(t, [[0, 'nothing', 'unknown', 0, { error: 'NOT_OBSERVED' }]])
  })
  for (const first of [inSync, pending('job.image'), drifted('job.image'), cannotJudge]) {
    t.test(`a first finding is not a transition: ${first.status}`, async t => {
      const store = buildStore()
      const transition = store.record('runtime', kind, outcomeOf(first, start + minute))
      t.equal(transition, null)
      t.equal(store.snapshot(start + minute).stacks[0]?.states[0]?.status, first.status)
    })
  }
  t.test('a probe that fails first makes the status unknown at once, without a transition', async t => {
    follow(t, [[1, 'UNAVAILABLE', 'unknown', 0, { error: 'UNAVAILABLE', transitions: [] }]])
  })
  t.test('the second finding is a transition', async t => {
    follow(t, [
      [1, drifted('job.image'), 'drifted', 1, { transitions: [], error: null }],
      [2, drifted('job.image'), 'drifted', 1, { transitions: [] }],
      [3, inSync, 'in_sync', 3, { transitions: [['drifted', 'in_sync', 3]] }],
    ])
  })
})

t.test('no hiding', async t => {
  t.test('deploys every ten minutes do not hide a job with an old image', async t => {
    const behind = pending('job.image')
    follow(t, [
      [0, inSync, 'in_sync', 0],
      [10, behind, 'pending', 10],
      [20, behind, 'pending', 10],
      [30, behind, 'pending', 10],
      [40, behind, 'pending', 10],
      [55, behind, 'pending', 10],
      [56, behind, 'drifted', 56, { note: '45 min' }],
      [60, behind, 'drifted', 56],
      [70, behind, 'drifted', 56],
      [120, behind, 'drifted', 56],
      [130, inSync, 'in_sync', 130],
      [140, behind, 'pending', 140],
      [185, behind, 'pending', 140],
      [186, behind, 'drifted', 186],
    ])
  })

  t.test('a pending period continues when its differences change', async t => {
    follow(t, [
      [0, pending('service.reconciling'), 'pending', 0],
      [15, pending('job.image'), 'pending', 0],
      [30, pending('service.reconciling', 'job.image'), 'pending', 0],
      [45, pending('job.reconciling'), 'pending', 0],
      [46, pending('job.image'), 'drifted', 46],
    ])
  })

  for (const by of [60, -60]) {
    t.test(`a pending period keeps its length when the clock is set by ${by} minutes`, async t => {
      const store = buildStore()
      follow(t, [[0, pending('job.image'), 'pending', 0]], store)
      store.clockSet(by * minute)
      const later = [
        [by + 45, pending('job.image'), 'pending', by],
        [by + 46, pending('job.image'), 'drifted', by + 46],
      ] as const
      follow(t, later, store)
    })
  }

  t.test('being in sync for a moment ends the pending period', async t => {
    follow(t, [
      [0, pending('job.image'), 'pending', 0],
      [40, inSync, 'in_sync', 40],
      [41, pending('job.image'), 'pending', 41],
      [86, pending('job.image'), 'pending', 41],
      [87, pending('job.image'), 'drifted', 87],
    ])
  })

  t.test('drifted goes back to pending only for other differences', async t => {
    follow(t, [
      [0, drifted('job.image'), 'drifted', 0],
      [10, pending('job.image'), 'drifted', 0, { note: 'drifted before' }],
      [20, pending('job.image', 'service.reconciling'), 'drifted', 0],
      [30, pending('service.reconciling'), 'pending', 30],
      [31, pending('job.image'), 'pending', 30],
    ])
  })

  t.test('a difference that a rollout explained may be pending after another one is fixed', async t => {
    follow(t, [
      [0, partlyDrifted('job.command', 'job.image'), 'drifted', 0],
      [5, pending('job.image'), 'pending', 5],
      [10, partlyDrifted('job.command', 'job.image'), 'drifted', 10],
      [15, pending('job.command', 'job.image'), 'drifted', 10],
    ])
  })

  t.test('when one of two drifts is fixed, the other stays drifted during a rollout', async t => {
    follow(t, [
      [0, drifted('job.command', 'job.image'), 'drifted', 0],
      [5, pending('job.image'), 'drifted', 0],
      [10, pending('job.command'), 'pending', 10],
    ])
  })

  t.test('a drift that was fixed and returns may be pending again', async t => {
    follow(t, [
      [0, drifted('job.image'), 'drifted', 0],
      [10, inSync, 'in_sync', 10],
      [20, pending('job.image'), 'pending', 20],
    ])
  })

  t.test('the limit starts again after a drift', async t => {
    follow(t, [
      [0, pending('service.reconciling'), 'pending', 0],
      [30, drifted('service.reconciling'), 'drifted', 30],
      [40, pending('job.image'), 'pending', 40],
      [85, pending('job.image'), 'pending', 40],
      [86, pending('job.image'), 'drifted', 86],
    ])
  })

  t.test('time without observations neither ends a pending period nor counts towards it', async t => {
    follow(
      t,
      [
        [0, pending('job.image'), 'pending', 0],
        [4, cannotJudge, 'unknown', 4, { error: 'CONDITION_ABSENT' }],
        [21, pending('job.image'), 'pending', 21, { error: null }],
        [25, 'PERMISSION_DENIED', 'pending', 21],
        [26, 'PERMISSION_DENIED', 'unknown', 26],
        [45, pending('job.image'), 'pending', 45],
        // Observations are valid for 5 minutes after 0, 21 and 45: 31 of the 76 minutes had no valid observation.
        ...[49, 53, 57, 61, 65, 69, 73, 76].map(minute => [minute, pending('job.image'), 'pending', 45] as const),
        [77, pending('job.image'), 'drifted', 77],
      ],
      buildShortLivedStore(),
    )
  })

  t.test('an unknown status in between does not hide a drift', async t => {
    follow(
      t,
      [
        [0, drifted('job.image'), 'drifted', 0],
        [1, cannotJudge, 'unknown', 1],
        [2, pending('job.image'), 'drifted', 2],
        [3, 'UNAVAILABLE', 'drifted', 2],
        [7, 'UNAVAILABLE', 'unknown', 7],
        [8, pending('job.image'), 'drifted', 8],
      ],
      buildShortLivedStore(),
    )
  })

  t.test('a drift ends when it is observed as fixed after an unknown status', async t => {
    follow(t, [
      [0, drifted('job.image'), 'drifted', 0],
      [1, cannotJudge, 'unknown', 1],
      [2, inSync, 'in_sync', 2],
      [3, pending('job.image'), 'pending', 3],
    ])
  })

  t.test('images that cannot be compared are pending during a rollout and unknown after it, never drifted', async t => {
    follow(t, [
      [0, unresolved, 'pending', 0],
      [45, unresolved, 'pending', 0],
      [46, unresolved, 'unknown', 46],
      [60, unresolved, 'unknown', 46],
      [61, inSync, 'in_sync', 61],
    ])
  })

  t.test('a drift in doubt is not hidden by another difference that a rollout explains', async t => {
    const doubtful: Finding = {
      ...pending('other'),
      unknownReason: { code: 'IMAGE_UNRESOLVED', message: 'a tag and a digest' },
    }
    follow(t, [
      [0, drifted('job.image'), 'drifted', 0],
      [1, doubtful, 'unknown', 1],
      [2, pending('other'), 'pending', 2],
    ])
  })

  t.test('images that cannot be compared for a moment do not hide a drift', async t => {
    const store = buildStore()
    follow(t, [[0, drifted('job.image'), 'drifted', 0]], store)
    store.record('runtime', kind, outcomeOf(unresolved, start + minute))
    t.not(store.snapshot(start + minute).stacks[0]?.states[0]?.status, 'pending', 'no other difference is pending')
    store.record('runtime', kind, outcomeOf(pending('job.image'), start + 2 * minute))
    t.equal(
      store.snapshot(start + 2 * minute).stacks[0]?.states[0]?.status,
      'drifted',
      'it was never observed as fixed',
    )
  })
})

t.test('missing observations', async t => {
  t.test('a failed probe keeps the last status until it is stale, with the error from the first failure', async t => {
    follow(
      t,
      [
        [0, inSync, 'in_sync', 0, { error: null, observed: 0 }],
        [1, 'UNAVAILABLE', 'in_sync', 0, { error: 'UNAVAILABLE', observed: 0 }],
        [4, 'DEADLINE_EXCEEDED', 'in_sync', 0, { error: 'DEADLINE_EXCEEDED', observed: 0 }],
        [5, 'UNAVAILABLE', 'unknown', 5, { error: 'UNAVAILABLE', observed: 0 }],
        [6, 'PERMISSION_DENIED', 'unknown', 5, { error: 'PERMISSION_DENIED' }],
        [7, inSync, 'in_sync', 7, { error: null, observed: 7 }],
      ],
      buildShortLivedStore(),
    )
  })

  t.test('a successful probe in between keeps the status valid', async t => {
    follow(
      t,
      [
        [0, drifted('job.image'), 'drifted', 0],
        [3, 'UNAVAILABLE', 'drifted', 0, { error: 'UNAVAILABLE' }],
        [4, drifted('job.image'), 'drifted', 0, { error: null, observed: 4 }],
        [8, 'UNAVAILABLE', 'drifted', 0],
        [9, 'UNAVAILABLE', 'unknown', 9],
      ],
      buildShortLivedStore(),
    )
  })

  t.test('a status that is kept after a failure does not advance with time', async t => {
    const patient = buildStore({ staleAfter: '2h' })
    follow(
      t,
      [
        [0, pending('job.image'), 'pending', 0],
        [16, 'UNAVAILABLE', 'pending', 0, { error: 'UNAVAILABLE' }],
        [46, 'UNAVAILABLE', 'pending', 0],
        [119, 'UNAVAILABLE', 'pending', 0],
        [120, 'UNAVAILABLE', 'unknown', 120],
      ],
      patient,
    )
  })

  t.test('without any cycle every state goes stale', async t => {
    for (const [status, event] of Object.entries({ in_sync: inSync, pending: pending('a'), drifted: drifted('a') })) {
      follow(
        t,
        [
          [0, event, status as Status, 0],
          [4.99, 'nothing', status as Status, 0, { error: null }],
          [5, 'nothing', 'unknown', 5, { error: 'STALE', note: status }],
          [600, 'nothing', 'unknown', 5, { error: 'STALE' }],
        ],
        buildShortLivedStore(),
      )
    }
  })

  t.test('a stale state that is observed again has a transition from unknown', async t => {
    follow(
      t,
      [
        [0, inSync, 'in_sync', 0],
        [10, 'nothing', 'unknown', 5],
        [
          11,
          inSync,
          'in_sync',
          11,
          {
            transitions: [
              ['in_sync', 'unknown', 5],
              ['unknown', 'in_sync', 11],
            ],
          },
        ],
      ],
      buildShortLivedStore(),
    )
  })

  t.test('a stale state that is observed with another status has a transition from unknown', async t => {
    follow(
      t,
      [
        [0, drifted('job.image'), 'drifted', 0],
        [10, 'nothing', 'unknown', 5],
        [
          11,
          inSync,
          'in_sync',
          11,
          {
            transitions: [
              ['drifted', 'unknown', 5],
              ['unknown', 'in_sync', 11],
            ],
          },
        ],
      ],
      buildShortLivedStore(),
    )
  })

  t.test('a state that went stale while drifted is drifted again, even during a rollout', async t => {
    follow(
      t,
      [
        [0, drifted('job.image'), 'drifted', 0],
        [10, 'nothing', 'unknown', 5],
        [
          11,
          pending('job.image'),
          'drifted',
          11,
          {
            transitions: [
              ['drifted', 'unknown', 5],
              ['unknown', 'drifted', 11],
            ],
          },
        ],
      ],
      buildShortLivedStore(),
    )
  })

  t.test('an unknown finding does not go stale', async t => {
    follow(
      t,
      [
        [0, inSync, 'in_sync', 0],
        [1, cannotJudge, 'unknown', 1, { error: 'CONDITION_ABSENT' }],
        [2, 'UNAVAILABLE', 'unknown', 1, { error: 'UNAVAILABLE' }],
        [20, 'nothing', 'unknown', 1, { error: 'UNAVAILABLE' }],
      ],
      buildShortLivedStore(),
    )
  })
})

t.test('the content of a state and of its stack is one object for as long as only the times change', async t => {
  const contents = (store: Store, event: Exclude<Event, 'nothing'>, at: number) => {
    cycle(store, event, start + at * minute)
    const stack = store.snapshot(start + at * minute).stacks[0]
    return [stack?.states[0]?.content, stack?.content]
  }
  for (const make of [() => inSync, () => structuredClone(inSync), () => drifted('job.image'), () => cannotJudge]) {
    const store = buildStore()
    const first = contents(store, make(), 0)
    const [state, stack] = contents(store, make(), 1)
    t.equal(state, first[0])
    t.equal(stack, first[1])
    const failed = contents(store, 'UNAVAILABLE', 2)
    t.not(failed[0], state, 'a failure adds an error')
    t.not(failed[1], stack)
    t.equal(contents(store, 'UNAVAILABLE', 3)[0], failed[0])
    t.strictSame(contents(store, make(), 4), first, 'the error is gone')
  }
})
