import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { checkKinds } from '../../src/checks/check.ts'
import { statuses } from '../../src/checks/status.ts'
import type { State } from '../../src/drift/state.ts'
import type { Snapshot, StackStates } from '../../src/drift/store.ts'
import { createDriftMetrics, type DriftMetrics } from '../../src/metrics/drift.ts'
import { createRenderer, type Page, type Renderer } from '../../src/report/rendered.ts'
import { buildReport, buildStackReport, type Report } from '../../src/report/report.ts'
import { renderText } from '../../src/report/text.ts'
import {
  anySnapshot,
  buildDifference,
  buildDriftedState,
  buildSnapshot,
  buildStackStates,
  buildStaleState,
  buildState,
  minute,
  mixed,
  noon,
} from '../helpers/states.ts'

const render = createRenderer()

t.test('the bytes are those of the report, and are rendered once', async t => {
  const rendered = render(mixed)
  t.same(JSON.parse(rendered.report('json').body.toString()), buildReport(mixed))
  t.equal(rendered.report('text').body.toString(), renderText(buildReport(mixed), { color: false }))
  t.equal(rendered.report('json', {}), rendered.report('json'), 'no filter is the whole report')
  t.same(JSON.parse(rendered.stack('billing', 'json')?.body.toString() ?? ''), buildStackReport(mixed, 'billing'))
  t.equal(rendered.stack('billing', 'json'), rendered.stack('billing', 'json'))
  t.not(rendered.stack('billing', 'json'), rendered.stack('billing', 'text'))
  t.equal(rendered.check('runtime', 'job-image', 'text'), rendered.check('runtime', 'job-image', 'text'))
  t.equal(rendered.stack('nope', 'json'), null)
  t.equal(rendered.check('billing', 'migration-execution', 'json'), null)
})

t.test('the bytes are those of the report, whatever was rendered before', async t => {
  const filters = fc.record({
    statuses: fc.option(fc.subarray([...statuses]), { nil: undefined }),
    checks: fc.option(fc.subarray([...checkKinds]), { nil: undefined }),
    after: fc.option(fc.constantFrom('', 's0', 's1', 'z'), { nil: undefined }),
    limit: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  })
  const later = (snapshot: Snapshot, ms: number): Snapshot => ({
    ...snapshot,
    stacks: snapshot.stacks.map(stack => ({
      ...stack,
      states: stack.states.map(state => ({ ...state, observedAt: state.observedAt && state.observedAt + ms })),
    })),
  })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(anySnapshot, { maxLength: 3 }), filters, fc.nat(minute), (snapshots, filter, ms) => {
        const warm = createRenderer()
        for (const snapshot of snapshots.flatMap(one => [one, later(one, ms), one])) {
          const page = warm(snapshot).report('json', filter)
          if (String(page.body) !== `${JSON.stringify(buildReport(snapshot, filter))}\n`) throw new Error('other bytes')
          if (page.etag !== createRenderer()(snapshot).report('json', filter).etag) throw new Error('another ETag')
        }
      }),
    ),
  )
})

/** For each field of a state, values that no state below has. A new field needs an entry here. */
const otherFields: { readonly [Field in Exclude<keyof State, 'content'>]-?: readonly State[Field][] } = {
  check: ['schema'],
  status: ['pending'],
  since: [noon - 77 * minute],
  observedAt: [noon - 33_000, null],
  staleAt: [noon + 33_000, null],
  summary: ['another summary'],
  differences: [
    [buildDifference({ path: 'another' })],
    [buildDifference({ kind: 'missing' })],
    [buildDifference({ expected: 'another' })],
    [buildDifference({ actual: null })],
    [buildDifference({ via: 'another' })],
    [buildDifference(), buildDifference({ path: 'one more' })],
    [],
  ],
  notes: [['another note'], ['a note', 'one more'], []],
  fix: ['another fix', null],
  advice: ['another reason', null],
  error: [
    { code: 'INTERNAL', message: 'one message', at: noon - 20_000 },
    { code: 'UNAVAILABLE', message: 'another message', at: noon - 20_000 },
    { code: 'UNAVAILABLE', message: 'one message', at: noon - 30_000 },
    null,
  ],
}

const otherStackFields: {
  readonly [Field in Exclude<keyof StackStates, 'states' | 'content'>]-?: readonly StackStates[Field][]
} = {
  name: ['another'],
  project: ['another'],
  region: ['another'],
  service: ['another'],
  job: ['another', null],
  problems: [['a problem'], []],
}

type OtherFields<Value> = { readonly [Field in keyof Value]?: readonly Value[Field][] }

/** Every change of one field of a value. */
function changesOf<Value extends object>(value: Value, others: OtherFields<Value>) {
  return (Object.keys(others) as (keyof Value)[]).flatMap(field =>
    (others[field] ?? [])
      .filter(other => !isDeepStrictEqual(other, value[field]))
      .map(other => ({ field: String(field), changed: { ...value, [field]: other } })),
  )
}

const full = buildDriftedState({
  notes: ['a note'],
  error: { code: 'UNAVAILABLE', message: 'one message', at: noon - 20_000 },
})
const bare = buildState({ check: 'role-grants', observedAt: null, staleAt: null })

interface Pair {
  readonly field: string
  readonly before: StackStates
  readonly after: StackStates
}

/** Stacks of which each pair differs in one field of one state, in one field of its own, or in the number of states. */
function buildPairs(): Pair[] {
  const both = buildStackStates({ states: [full, bare] })
  const troubled = buildStackStates({ states: [full, bare], problems: ['one problem'] })
  const ofStates = [full, bare].flatMap((state, place) =>
    changesOf(state, otherFields).map(({ field, changed }) => ({
      field,
      before: both,
      after: buildStackStates({ states: place === 0 ? [changed, bare] : [full, changed] }),
    })),
  )
  const ofStacks = [both, troubled].flatMap(before =>
    changesOf<StackStates>(before, otherStackFields).map(({ field, changed }) => ({ field, before, after: changed })),
  )
  return [...ofStates, ...ofStacks, { field: 'states', before: both, after: buildStackStates({ states: [full] }) }]
}

/** The stack as the store makes it: with the content of the stack before wherever that is equal. */
function storeStack(stack: StackStates, before: StackStates | null): StackStates {
  const states = stack.states.map((state, at) => buildState(state, before?.states[at]))
  return buildStackStates({ ...stack, states }, before)
}

/** All responses for a snapshot, from a renderer and metrics that may have rendered before. */
function answersOf(render: Renderer, metrics: DriftMetrics, snapshot: Snapshot): Record<string, string> {
  const rendered = render(snapshot)
  const { name = '', states = [] } = snapshot.stacks[0] ?? {}
  const page = ({ body, etag }: Page) => `${etag} ${body}`
  const filtered = { checks: ['job-image', 'schema'] } as const
  return {
    json: page(rendered.report('json')),
    text: page(rendered.report('text')),
    'json, filtered': page(rendered.report('json', filtered)),
    'text, filtered': page(rendered.report('text', filtered)),
    'the stack as json': page(rendered.stack(name, 'json') as Page),
    'the stack as text': page(rendered.stack(name, 'text') as Page),
    ...Object.fromEntries(states.map(({ check }) => [check, page(rendered.check(name, check, 'json') as Page)])),
    page: String(rendered.html()),
    metrics: metrics(snapshot).join(''),
  }
}

t.test(
  'a change of any single field of a state or stack changes the answers, whatever was rendered before',
  async t => {
    const pairs = buildPairs()
    t.ok(pairs.length > 50)
    for (const { field, before, after } of pairs) {
      for (const [one, other] of [
        [before, after],
        [after, before],
      ] as const) {
        const [render, metrics] = [createRenderer(), createDriftMetrics()]
        const stack = storeStack(one, null)
        const first = buildSnapshot({ stacks: [stack] })
        const second = buildSnapshot({ stacks: [storeStack(other, stack)] })
        const shown = answersOf(render, metrics, first)
        const warm = answersOf(render, metrics, second)
        t.strictSame(warm, answersOf(createRenderer(), createDriftMetrics(), second), field)
        t.strictNotSame(warm, shown, `${field} is visible somewhere`)
      }
    }
  },
)

t.test('pages are sorted by name and contain every stack once, even if stacks come and go between them', async t => {
  const names = ['c', 'a', 'd', 'b', 'e']
  const snapshot = buildSnapshot({ stacks: names.map(name => buildStackStates({ name })) })
  const render = createRenderer()
  const shown = (after?: string) => {
    const { body, last } = render(snapshot).report('json', { after, limit: 2 })
    return { last, names: (JSON.parse(String(body)) as Report).stacks.map(({ name }) => name) }
  }
  t.same(shown(), { last: 'b', names: ['a', 'b'] })
  t.same(shown('b'), { last: 'd', names: ['c', 'd'] })
  t.same(shown('d'), { last: null, names: ['e'] })
  t.same(shown('bb'), { last: 'd', names: ['c', 'd'] }, 'the last stack of the previous page no longer exists')
  t.same(shown('e'), { last: null, names: [] })
})

t.test('equivalent filters share a page, whatever the order and repetition of their values', async t => {
  const rendered = render(mixed)
  const page = rendered.report('json', { statuses: ['drifted', 'unknown'] })
  t.equal(rendered.report('json', { statuses: ['unknown', 'drifted', 'unknown'] }), page)
  t.not(rendered.report('json', { statuses: ['drifted'] }), page)
  t.not(rendered.report('json', { checks: [] }), rendered.report('json', { statuses: [] }))
  t.same(JSON.parse(page.body.toString()), buildReport(mixed, { statuses: ['drifted', 'unknown'] }))
})

t.test('the ETag ignores observation times, and nothing else', async t => {
  const etags = (state: State, snapshot: Partial<Snapshot> = {}) => {
    const rendered = render(buildSnapshot({ ...snapshot, stacks: [buildStackStates({ states: [state] })] }))
    const filtered = rendered.report('json', { checks: ['job-image'] })
    return [
      rendered.report('json').etag,
      rendered.report('text').etag,
      filtered.etag,
      rendered.stack('runtime', 'json')?.etag,
      rendered.check('runtime', 'job-image', 'json')?.etag,
    ]
  }
  const state = buildStaleState()
  const before = etags(state)
  t.equal(new Set(before).size, 4, 'formats and parts have their own ETags, a filter that hides nothing does not')
  const later = { ...state, observedAt: noon, staleAt: noon + minute }
  const error = { code: 'UNAVAILABLE', message: 'Cloud Run is unavailable', at: noon + minute } as const
  t.same(etags({ ...later, error }, { takenAt: noon + minute, cycle: null }), before)
  const changes: Partial<State>[] = [
    { status: 'drifted' },
    { since: noon },
    { summary: 'another' },
    { differences: [buildDifference()] },
    { notes: ['a note'] },
    { fix: 'a fix' },
    { advice: 'a reason' },
    { error: null },
    { error: { code: 'UNAVAILABLE', message: 'another', at: noon - 20_000 } },
  ]
  for (const change of changes) {
    const after = etags(buildState({ ...state, ...change }))
    t.ok(
      after.every((etag, at) => etag !== before[at]),
      JSON.stringify(change),
    )
  }
})

t.test('problems with the labels of a stack appear in its part of the report, in every format', t => {
  const problems = ['driftwatch-stack=runtime: service runtime carries it, and no job does']
  const place = { project: 'acme', region: 'us-central1', observedAt: noon, staleAt: noon + 1, error: null, stacks: 2 }
  const snapshot = buildSnapshot({
    discovery: [{ ...place, problems: problems.map(message => ({ stack: 'runtime', message })) }],
    stacks: [buildStackStates({ problems }), buildStackStates({ name: 'other' })],
  })
  t.match(buildReport(snapshot), {
    status: 'unknown',
    stacks: [
      { name: 'runtime', status: 'unknown', problems },
      { name: 'other', status: 'in_sync' },
    ],
  })
  t.match(buildStackReport(snapshot, 'runtime'), { status: 'unknown', problems })
  t.notOk('problems' in (buildStackReport(snapshot, 'other') ?? {}))
  const render = createRenderer()
  const rendered = render(snapshot)
  t.match(JSON.parse(String(rendered.report('json').body)), { stacks: [{ problems }, { status: 'in_sync' }] })
  t.match(String(rendered.stack('runtime', 'text')?.body), /^UNKNOWN[^\n]*\n {2}Problem: driftwatch-stack=runtime/)
  const repaired = render({ ...snapshot, stacks: [buildStackStates(), buildStackStates({ name: 'other' })] })
  t.equal(repaired.stack('runtime', 'json')?.status, 'in_sync')
  t.not(repaired.stack('runtime', 'json')?.etag, rendered.stack('runtime', 'json')?.etag)
  t.end()
})

t.test('the page for a browser starts with problems of places and of the configuration', t => {
  const place = { project: 'acme', observedAt: noon, staleAt: noon + 1, error: null, stacks: 2, problems: [] }
  const denied = { code: 'PERMISSION_DENIED', message: 'listing <b>denied</b>', at: noon } as const
  const page = String(
    createRenderer()(
      buildSnapshot({
        discovery: [
          { ...place, region: 'fine' },
          { ...place, region: 'odd', problems: [{ stack: 'one', message: 'two services carry it' }] },
          { ...place, region: 'closed', observedAt: null, staleAt: null, error: denied },
        ],
        config: {
          loadedAt: noon,
          error: { code: 'CONFIG_INVALID', message: 'driftwatch.yaml:3: no such key', at: noon },
          needRestart: ['host'],
        },
      }),
    ).html(),
  )
  const [header = ''] = /<header>.*<\/header>/s.exec(page) ?? []
  t.match(header, 'discovery in acme, odd<br>two services carry it')
  t.match(header, 'discovery in acme, closed<br>PERMISSION_DENIED: listing &lt;b&gt;denied&lt;/b&gt;<br>never listed')
  t.notMatch(header, 'acme, fine')
  t.match(header, 'Configuration rejected just now: CONFIG_INVALID: driftwatch.yaml:3: no such key')
  t.match(header, 'Changed, restart needed: host')
  t.end()
})

t.test('the cache of filtered reports is bounded by entries and by bytes', async t => {
  const rendered = createRenderer()(mixed)
  const small = rendered.report('json', { after: 'zz' })
  t.equal(rendered.report('json', { after: 'zz' }), small)
  for (let at = 0; at < 1000; at++) rendered.report('json', { after: `zz${at}` })
  t.not(rendered.report('json', { after: 'zz' }), small, 'a thousand entries later')

  const text = 'x'.repeat(3_000_000)
  const large = createRenderer()(
    buildSnapshot({ stacks: [buildStackStates({ states: [buildState({ notes: [text] })] })] }),
  )
  const first = large.report('json', { limit: 1 })
  t.equal(large.report('json', { limit: 1 }), first)
  for (let limit = 2; limit < 8; limit++) large.report('json', { limit })
  t.not(large.report('json', { limit: 1 }), first, '18 MB later')
})
