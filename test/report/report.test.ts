import { isDeepStrictEqual } from 'node:util'
import { Ajv, type ValidateFunction } from 'ajv'
import fc from 'fast-check'
import t from 'tap'
import { checkKinds } from '../../src/checks/check.ts'
import { statuses, worstStatus } from '../../src/checks/status.ts'
import { sanitize } from '../../src/drift/sanitize.ts'
import type { State } from '../../src/drift/state.ts'
import type { Snapshot, StackStates } from '../../src/drift/store.ts'
import { createDriftMetrics, type DriftMetrics } from '../../src/metrics/drift.ts'
import { printable } from '../../src/printable.ts'
import { createRenderer, type Page, type Renderer } from '../../src/report/rendered.ts'
import {
  buildCheckReport,
  buildReport,
  buildStackReport,
  checkReportSchema,
  type Report,
  reportSchema,
  stackReportSchema,
} from '../../src/report/report.ts'
import { renderText } from '../../src/report/text.ts'
import {
  buildDifference,
  buildDriftedState,
  buildSnapshot,
  buildStackStates,
  buildStaleState,
  buildState,
  minute,
  noon,
} from '../helpers/states.ts'

const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const ajv = new Ajv({ strict: true, allowUnionTypes: true, formats: { 'date-time': rfc3339 } })

const render = createRenderer()

const service = buildState({ check: 'service-image', summary: 'Every revision in service runs runtime-rust:7f2e.' })

/** Two stacks: one partly drifted and unknown, one in sync. */
const mixed = buildSnapshot({
  stacks: [
    buildStackStates({ states: [service, buildDriftedState(), buildStaleState({ check: 'migration-execution' })] }),
    buildStackStates({ name: 'billing' }),
  ],
})

t.test('the report has the fields of the contract, in that order', async t => {
  const snapshot = buildSnapshot({
    stacks: [buildStackStates({ states: [buildDriftedState({ notes: ['compared by tag only'] })] })],
  })
  t.equal(
    JSON.stringify(buildReport(snapshot)),
    JSON.stringify({
      apiVersion: 'driftwatch/v1',
      status: 'drifted',
      generatedAt: '2026-11-03T12:00:00.000Z',
      channels: [],
      cycle: { id: 42, startedAt: '2026-11-03T11:59:59.000Z', durationMs: 812 },
      stacks: [
        {
          name: 'runtime',
          status: 'drifted',
          project: 'acme',
          region: 'us-central1',
          checks: [
            {
              check: 'job-image',
              status: 'drifted',
              since: '2026-11-03T09:50:00.000Z',
              observedAt: '2026-11-03T11:59:50.000Z',
              staleAt: '2026-11-03T12:04:50.000Z',
              summary: 'The migration job is pinned to runtime-rust:41c3, the service runs runtime-rust:7f2e.',
              differences: [
                {
                  path: 'job.image',
                  kind: 'changed',
                  expected: 'runtime-rust:7f2e',
                  actual: 'runtime-rust:41c3',
                  via: null,
                },
              ],
              notes: ['compared by tag only'],
              fix: 'gcloud run jobs update runtime-migrate --image us-central1-docker.pkg.dev/acme/runtime-rust@sha256:7f2e',
              error: null,
            },
          ],
        },
      ],
    }),
  )
})

t.test('before the first cycle the report has no cycle and is unknown, with or without stacks', async t => {
  const unseen = buildStaleState({ observedAt: null, staleAt: null, since: noon })
  const report = buildReport(buildSnapshot({ cycle: null, stacks: [buildStackStates({ states: [unseen] })] }))
  t.match(report, { status: 'unknown', cycle: null, stacks: [{ checks: [{ observedAt: null, staleAt: null }] }] })
  t.equal(buildReport(buildSnapshot({ cycle: null, stacks: [] })).status, 'unknown')
  t.equal(buildReport(buildSnapshot({ stacks: [] })).status, 'in_sync')
})

t.test('a failed probe is shown with its code and time', async t => {
  t.match(buildReport(mixed).stacks[0]?.checks[2]?.error, {
    code: 'UNAVAILABLE',
    message: 'Cloud Run is unavailable',
    at: '2026-11-03T11:59:40.000Z',
  })
})

t.test('a filter hides checks and empty stacks, and changes no status', async t => {
  const shown = (filter: Parameters<typeof buildReport>[1]) =>
    buildReport(mixed, filter).stacks.map(({ name, status, checks }) => [name, status, checks.map(one => one.check)])
  t.same(shown({ statuses: ['in_sync'] }), [
    ['runtime', 'drifted', ['service-image']],
    ['billing', 'in_sync', ['service-image', 'job-image']],
  ])
  t.same(shown({ statuses: ['drifted', 'unknown'] }), [['runtime', 'drifted', ['job-image', 'migration-execution']]])
  t.same(shown({ statuses: ['in_sync'], checks: ['job-image'] }), [['billing', 'in_sync', ['job-image']]])
  t.same(shown({ statuses: ['pending'] }), [])
  t.equal(buildReport(mixed, { statuses: ['pending'] }).status, 'drifted')
})

t.test('a part is the object of the whole report, under the same head', async t => {
  const { apiVersion, generatedAt, cycle, stacks } = buildReport(mixed)
  const [runtime, billing] = stacks
  t.same(buildStackReport(mixed, 'billing'), { apiVersion, generatedAt, cycle, ...billing })
  t.same(buildCheckReport(mixed, 'runtime', 'job-image'), {
    apiVersion,
    generatedAt,
    cycle,
    stack: 'runtime',
    ...runtime?.checks[1],
  })
  t.equal(buildStackReport(mixed, 'nope'), null)
  t.equal(buildCheckReport(mixed, 'nope', 'job-image'), null)
  t.equal(buildCheckReport(mixed, 'billing', 'migration-execution'), null)
})

const anyFields: fc.Arbitrary<Omit<State, 'content'>> = fc.record({
  check: fc.constantFrom(...checkKinds),
  status: fc.constantFrom(...statuses),
  since: fc.integer({ min: 0, max: noon }),
  observedAt: fc.option(fc.integer({ min: 0, max: noon })),
  staleAt: fc.option(fc.integer({ min: 0, max: noon })),
  summary: fc.string({ unit: 'binary' }),
  differences: fc.array(fc.string({ unit: 'binary' }).map(actual => buildDifference({ actual, expected: null }))),
  notes: fc.array(fc.string({ unit: 'binary' })),
  fix: fc.option(fc.string({ unit: 'binary' })),
  error: fc.option(fc.record({ code: fc.constant('INTERNAL' as const), message: fc.string(), at: fc.nat(noon) })),
})

const anyState = anyFields.map(fields => buildState(fields))

const anySnapshot: fc.Arbitrary<Snapshot> = fc
  .array(fc.array(anyState, { maxLength: 4 }), { maxLength: 4 })
  .map(stacks => buildSnapshot({ stacks: stacks.map((states, at) => buildStackStates({ name: `s${at}`, states })) }))

t.test('every report and every part is valid by its schema', async t => {
  const compile = (schema: object): ValidateFunction => ajv.compile(schema)
  const [report, stack, check] = [reportSchema, stackReportSchema, checkReportSchema].map(compile)
  const valid = (validate: ValidateFunction | undefined, value: unknown) => {
    if (!validate?.(JSON.parse(JSON.stringify(value)))) throw new Error(ajv.errorsText(validate?.errors))
  }
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(anySnapshot, snapshot => {
        valid(report, buildReport(snapshot))
        for (const { name, states } of snapshot.stacks) {
          valid(stack, buildStackReport(snapshot, name))
          for (const state of states) valid(check, buildCheckReport(snapshot, name, state.check))
        }
      }),
    ),
  )
  t.notOk(report?.({ ...buildReport(mixed), extra: 1 }), 'the schema is closed')
})

t.test('the status of the report is the worst of all states, whatever the filter', async t => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(anySnapshot, fc.subarray([...statuses]), (snapshot, shown) => {
        const all = snapshot.stacks.flatMap(({ states }) => states.map(({ status }) => status))
        return buildReport(snapshot, { statuses: shown }).status === worstStatus(all)
      }),
    ),
  )
})

t.test(
  'the text has a block for each check, worst first, with durations, differences, notes, errors and the fix',
  async t => {
    const drifted = buildDriftedState({
      differences: [
        buildDifference({ via: 'changed by alice with gcloud 528.0.0' }),
        buildDifference({ path: 'job', actual: null }),
      ],
      notes: ['Compared by tag only.'],
      fix: `${buildDriftedState().fix}\ngcloud run jobs execute runtime-migrate`,
    })
    const snapshot = buildSnapshot({
      stacks: [
        buildStackStates({ states: [service, buildStaleState({ check: 'migration-execution' })] }),
        buildStackStates({
          name: 'billing',
          states: [buildState({ check: 'service-image', status: 'pending', since: noon - 200 }), drifted],
        }),
      ],
    })
    t.equal(
      renderText(buildReport(snapshot), { color: false }),
      `\
DRIFTED  1 of 4 checks drifted, 1 unknown, 1 pending, 1 in sync · observed 1 s ago (cycle 42) · 2026-11-03T12:00:00Z

! billing / job-image            drifted for 2 h 10 min
  The migration job is pinned to runtime-rust:41c3, the service runs runtime-rust:7f2e.
  job.image changed
    expected  runtime-rust:7f2e
    actual    runtime-rust:41c3  (changed by alice with gcloud 528.0.0)
  job changed
    expected  runtime-rust:7f2e
    actual    (none)
  Note: Compared by tag only.
  Fix: gcloud run jobs update runtime-migrate --image us-central1-docker.pkg.dev/acme/runtime-rust@sha256:7f2e
       gcloud run jobs execute runtime-migrate

? runtime / migration-execution  unknown for 2 min
  The last observation is stale.
  Error: UNAVAILABLE 20 s ago: Cloud Run is unavailable
  Last observed: 7 min ago

~ billing / service-image        pending for less than 1 s
  The migration job uses the image in service, runtime-rust:7f2e.

✓ runtime / service-image        in sync for 2 h 10 min
  Every revision in service runs runtime-rust:7f2e.
`,
    )
  },
)

t.test('a part of the report has a text of its own, and an empty report says so', async t => {
  const stack = buildStackReport(mixed, 'billing')
  const check = buildCheckReport(mixed, 'runtime', 'job-image')
  if (!stack || !check) throw new Error('the snapshot has no such stack or check')
  t.match(
    renderText(stack, { color: false }),
    /^IN SYNC {2}2 checks in sync · .*\n\n✓ billing \/ service-image {2}in sync for/,
  )
  t.match(
    renderText(check, { color: false }),
    /^DRIFTED {2}1 check drifted · .*\n\n! runtime \/ job-image {2}drifted for/,
  )
  const none = buildReport(buildSnapshot({ cycle: null, stacks: [] }))
  t.equal(renderText(none, { color: false }), 'UNKNOWN  no checks · no completed cycle · 2026-11-03T12:00:00Z\n')
})

t.test('the text has colours only on request, whatever the process writes to', async t => {
  const esc = String.fromCodePoint(27)
  const plain = renderText(buildReport(mixed), { color: false })
  const coloured = renderText(buildReport(mixed), { color: true })
  t.notOk(plain.includes(esc))
  t.ok(coloured.startsWith(`${esc}[1m${esc}[31mDRIFTED`))
  t.equal(coloured.replaceAll(new RegExp(`${esc}\\[\\d+m`, 'g'), ''), plain)
})

t.test('prose wraps at 96 columns, images and commands do not', async t => {
  const words = 'a word of prose '.repeat(20).trim()
  const command = `gcloud run jobs update ${'--long-option '.repeat(12).trim()}  'two  spaces'`
  const state = buildDriftedState({ summary: words, notes: [words], fix: `${command}\n${command}` })
  const lines = renderText(buildReport(buildSnapshot({ stacks: [buildStackStates({ states: [state] })] })), {
    color: false,
  }).split('\n')
  const prose = lines.filter(line => line.includes('word'))
  t.ok(prose.length > 6)
  t.ok(Math.max(...prose.map(line => line.length)) <= 96)
  t.equal(lines.filter(line => line.slice(7) === command).length, 2, 'every line of the command is whole')
})

t.test('text of others cannot break the layout or control the terminal', async t => {
  const evil = 'a\u001b[2J\u001b]0;title\u0007\n✓ fake\r\tb\u202e\u2028\u0000'
  const state = buildDriftedState({
    summary: evil,
    notes: [evil],
    fix: evil,
    differences: [buildDifference({ path: evil, expected: evil, actual: 'a  b', via: evil })],
    error: { code: 'INTERNAL', message: evil, at: noon },
  })
  const text = renderText(buildReport(buildSnapshot({ stacks: [buildStackStates({ states: [state] })] })), {
    color: false,
  })
  t.notMatch(text, /[^\P{C}\n]|[\u2028\u2029]/u, 'no control characters')
  t.equal(text.split('\n').filter(line => line.startsWith('✓')).length, 0)
  t.match(text, 'expected  a\\u{1b}[2J', 'control characters are spelled out')
  t.match(text, 'actual    a  b', 'values keep their spaces')
  t.equal(printable('plain ü 日本'), 'plain ü 日本')
})

t.test('the text shortens images so that a person can compare them, and fixes stay whole', async t => {
  const repository = 'us-central1-docker.pkg.dev/acme/app/runtime-rust'
  const [one, other] = ['a', 'b'].map(letter => `sha256:${letter.repeat(64)}`)
  const shown = (expected: string | null, actual: string | null) => {
    const state = buildDriftedState({
      differences: [buildDifference({ expected, actual })],
      fix: `use ${repository}@${one}`,
    })
    const text = renderText(buildReport(buildSnapshot({ stacks: [buildStackStates({ states: [state] })] })), {
      color: false,
    })
    t.match(text, `  Fix: use ${repository}@${one}\n`)
    return ['expected', 'actual'].map(label => new RegExp(`${label} +(.*)`).exec(text)?.[1])
  }
  t.strictSame(shown(`${repository}:c5a11fe@${one}`, `${repository}@${other}`), [
    'runtime-rust:c5a11fe@sha256:aaaaaaaa',
    'runtime-rust@sha256:bbbbbbbb',
  ])
  t.strictSame(shown(`${repository}@${one}`, `europe-docker.pkg.dev/acme/app/runtime-rust@${one}`), [
    `${repository}@sha256:aaaaaaaa`,
    'europe-docker.pkg.dev/acme/app/runtime-rust@sha256:aaaaaaaa',
  ])
  t.strictSame(shown(null, `${repository}@${one}`), ['(none)', `${repository}@sha256:aaaaaaaa`])
  const near = `${repository}@${one?.slice(0, -1)}b`
  t.strictSame(shown(`${repository}@${one}`, near), [`${repository}@${one}`, near], 'values that differ look different')
  t.strictSame(shown('schemas/a', 'schemas/b'), ['schemas/a', 'schemas/b'])
})

t.test('a fix that cannot be shown unchanged is omitted, and a note says so', async t => {
  const finding = (fix: string) =>
    sanitize({ status: 'drifted', summary: 's', differences: [], notes: [], fix, doubt: null, proven: [] })
  t.match(finding('run this\nand that'), { fix: 'run this\nand that', notes: [] })
  for (const fix of ["run 'a\u202eb'", 'run \u001b[2J', `run ${'x'.repeat(8000)}`])
    t.match(finding(fix), {
      fix: null,
      notes: ['The fix is omitted: its command is too long or contains unprintable characters.'],
    })
})

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

/** All answers about a snapshot, from a renderer and metrics that may have rendered before. */
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
