import { Ajv, type ValidateFunction } from 'ajv'
import fc from 'fast-check'
import t from 'tap'
import { statuses, worstStatus } from '../../src/checks/status.ts'
import {
  buildCheckReport,
  buildReport,
  buildStackReport,
  checkReportSchema,
  reportSchema,
  stackReportSchema,
} from '../../src/report/report.ts'
import {
  anySnapshot,
  buildDriftedState,
  buildSnapshot,
  buildStackStates,
  buildStaleState,
  mixed,
  noon,
} from '../helpers/states.ts'

const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const ajv = new Ajv({ strict: true, allowUnionTypes: true, formats: { 'date-time': rfc3339 } })

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
      error: null,
      notes: [],
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
              advice: null,
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
  t.match(buildReport(buildSnapshot({ stacks: [] })), { status: 'unknown', error: { code: 'NOTHING_WATCHED' } })
  t.equal(worstStatus([]), 'unknown', 'an empty set proves nothing')
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
