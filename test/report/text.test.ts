import t from 'tap'
import { printable } from '../../src/printable.ts'
import { renderHtml } from '../../src/report/html.ts'
import { buildCheckReport, buildReport, buildStackReport } from '../../src/report/report.ts'
import { renderText } from '../../src/report/text.ts'
import {
  buildDifference,
  buildDriftedState,
  buildSnapshot,
  buildStackStates,
  buildStaleState,
  buildState,
  mixed,
  noon,
  service,
} from '../helpers/states.ts'

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

t.test('a part of the report has its own text, and so has an empty report', async t => {
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

t.test('external text cannot break the layout or control the terminal', async t => {
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
    'runtime-rust:c5a11fe@sha256:aaaaaaaaaaaa',
    'runtime-rust@sha256:bbbbbbbbbbbb',
  ])
  t.strictSame(shown(`${repository}@${one}`, `europe-docker.pkg.dev/acme/app/runtime-rust@${one}`), [
    `${repository}@sha256:aaaaaaaaaaaa`,
    'europe-docker.pkg.dev/acme/app/runtime-rust@sha256:aaaaaaaaaaaa',
  ])
  t.strictSame(shown(null, `${repository}@${one}`), ['(none)', `${repository}@sha256:aaaaaaaaaaaa`])
  const near = `${repository}@${one?.slice(0, -1)}b`
  t.strictSame(shown(`${repository}@${one}`, near), [`${repository}@${one}`, near], 'values that differ look different')
  t.strictSame(shown('schemas/a', 'schemas/b'), ['schemas/a', 'schemas/b'])
})

t.test('a failed probe is visible behind every status: in the headline, in the row, and on the page', async t => {
  const failed = { code: 'UNAVAILABLE' as const, message: 'Cloud Run is unavailable', at: noon - 5000 }
  const kept = (seconds: number) => ({ observedAt: noon - seconds * 1000, error: failed, notes: ['Compared by tag.'] })
  const states = [
    service,
    buildState({ check: 'job-image', ...kept(40) }),
    buildState({ check: 'schema', ...kept(20) }),
    buildState({ check: 'role-grants', status: 'pending', ...kept(10) }),
    // Partly unknown: its probe succeeded.
    buildDriftedState({ check: 'image-lanes', error: { ...failed, at: noon - 10_000 } }),
  ]
  const report = buildReport(buildSnapshot({ stacks: [buildStackStates({ states })] }))
  const text = renderText(report, { color: false })
  const html = renderHtml(report, '1', 30)
  const headline = '1 of 5 checks drifted, 1 pending, 3 in sync, 3 not observed for 40 s'
  t.match(text, headline)
  t.match(html, headline)
  t.match(text, 'runtime / job-image      in sync for 2 h 10 min, not observed for 40 s')
  t.match(text, '  Error: UNAVAILABLE 5 s ago: Cloud Run is unavailable')
  t.ok(text.indexOf('/ schema') < text.indexOf('/ service-image'), 'a failed probe comes before what was observed')
  const row = html.split('<tr>').find(part => part.includes('job-image')) ?? ''
  t.match(row, 'not observed for 40 s')
  t.match(row, 'Note: Compared by tag.')
  t.match(row, 'Error: UNAVAILABLE 5 s ago: Cloud Run is unavailable')
  const healthy = renderText(buildReport(buildSnapshot()), { color: false })
  t.match(healthy, /^IN SYNC {2}2 checks in sync · /)
})
