import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { statuses } from '../../src/checks/status.ts'
import type { Snapshot } from '../../src/drift/store.ts'
import { metricDefinitions } from '../../src/metrics/definitions.ts'
import { createDriftMetrics } from '../../src/metrics/drift.ts'
import { createMetrics, type Metrics, type MetricsOptions } from '../../src/metrics/metrics.ts'
import {
  buildDifference,
  buildDriftedState,
  buildSnapshot,
  buildStackStates,
  buildStaleState,
  buildState,
  noon,
} from '../helpers/states.ts'

interface Family {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly samples: { readonly name: string; readonly labels: Record<string, string>; readonly value: number }[]
}

/** Parses the Prometheus text format; throws at the first invalid line. */
function parseExposition(text: string): Map<string, Family> {
  const families = new Map<string, Family>()
  let help: RegExpMatchArray | null = null
  let family: Family | undefined
  if (!text.endsWith('\n')) throw new Error('the last line is not terminated')
  for (const line of text.split('\n')) {
    const found = line.match(/^# (HELP|TYPE) ([a-z_0-9]+) (.+)$/)
    const sample = line.match(/^([a-z_0-9]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\[\\n"])*",?)*)\})? (\S+)$/)
    if (found?.[1] === 'HELP') help = found
    else if (found?.[1] === 'TYPE') {
      const [, , name = '', type = ''] = found
      if (help?.[2] !== name || families.has(name)) throw new Error(`${name} is described twice, or never`)
      family = { name, type, help: help[3] ?? '', samples: [] }
      families.set(name, family)
    } else if (sample) {
      const [, name = '', labels = '', value = ''] = sample
      const base = family?.type === 'histogram' ? name.replace(/_(bucket|sum|count)$/, '') : name
      if (family?.name !== base) throw new Error(`${name} is in the family ${family?.name}`)
      family.samples.push({ name, labels: parseLabels(labels), value: value === 'Nan' ? Number.NaN : Number(value) })
    } else if (line !== '') throw new Error(`invalid line: ${line}`)
  }
  return families
}

function parseLabels(text: string): Record<string, string> {
  const escapes: Record<string, string> = { '\\\\': '\\', '\\n': '\n', '\\"': '"' }
  return Object.fromEntries(
    [...text.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, name = '', value = '']) => [
      name,
      value.replaceAll(/\\./g, escaped => escapes[escaped] ?? escaped),
    ]),
  )
}

function buildMetrics(override: Partial<MetricsOptions> = {}): Metrics {
  return createMetrics({ build: { version: '1.2.3', node: 'v24.0.0' }, ...override })
}

/** The whole text of a scrape. */
async function textOf(metrics: Metrics): Promise<string> {
  return String(metrics.drift()) + (await metrics.runtime())
}

async function scrape(metrics: Metrics): Promise<Map<string, Family>> {
  return parseExposition(await textOf(metrics))
}

/** The samples of one metric of a snapshot, as `[labels, value]`. */
async function samplesOf(metric: keyof typeof metricDefinitions, snapshot: Partial<Snapshot>) {
  const metrics = buildMetrics()
  metrics.update(buildSnapshot(snapshot))
  const family = (await scrape(metrics)).get(metricDefinitions[metric].name)
  return family?.samples.map(({ labels, value }) => [labels, value])
}

/** The contract. */
const contract = `
| driftwatch_check_status | gauge | stack, check, status |
| driftwatch_check_differences | gauge | stack, check |
| driftwatch_check_status_since_timestamp_seconds | gauge | stack, check |
| driftwatch_check_observed_timestamp_seconds | gauge | stack, check |
| driftwatch_probe_duration_seconds | histogram | probe |
| driftwatch_probe_errors_total | counter | probe, code |
| driftwatch_api_requests_total | counter | api, method, code |
| driftwatch_cycle_duration_seconds | histogram | |
| driftwatch_cycle_completed_timestamp_seconds | gauge | |
| driftwatch_verified_timestamp_seconds | gauge | |
| driftwatch_cache_mismatches_total | counter | |
| driftwatch_alert_publishes_total | counter | channel, result |
| driftwatch_stack_info | gauge | stack, project, region, service, job |
| driftwatch_discovered_stacks | gauge | project, region |
| driftwatch_discovery_problems | gauge | project, region |
| driftwatch_discovery_unknown | gauge | project, region |
| driftwatch_config_reload_failed | gauge | |
| driftwatch_build_info | gauge | version, node |
`

const parts = {
  discovery: [
    {
      project: 'acme',
      region: 'us-central1',
      observedAt: noon,
      staleAt: noon + 1,
      error: null,
      problems: [],
      stacks: 3,
    },
  ],
  stacks: [buildStackStates({ states: [buildDriftedState(), buildStaleState({ check: 'migration-execution' })] })],
}

t.test('code, documentation and contract list the same metrics with the same types and labels', async t => {
  const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
  const documented = [...page.matchAll(/^\| `(driftwatch_\w+)` \| (\w+) \|(.*)\| (.+) \|$/gm)]
  const defined = Object.values(metricDefinitions).map(({ name, type, labels, help }) => [
    name,
    type,
    labels.join(),
    help,
  ])
  t.same(
    documented.map(([, name, type, labels = '', help]) => [name, type, labels.replaceAll(' ', ''), help]),
    defined,
  )
  t.same(
    contract.match(/driftwatch.*(?= \|)/g)?.map(line => line.replaceAll(/[ |]+/g, ' ').trim()),
    Object.values(metricDefinitions).map(({ name, type, labels }) => [name, type, labels.join(', ')].join(' ').trim()),
  )
  const mentioned = new Set(page.match(/driftwatch_\w+/g))
  t.same(
    [...mentioned].sort(),
    Object.values(metricDefinitions)
      .map(({ name }) => name)
      .sort(),
  )
})

t.test('a scrape contains exactly the documented metrics with their labels, and those of the process', async t => {
  const metrics = buildMetrics({ channels: ['log'], apiMethods: { run: ['GetService'] } })
  metrics.update(buildSnapshot(parts))
  metrics.cycleCompleted(0.5, noon)
  metrics.verified(noon)
  const families = await scrape(metrics)
  for (const { name, type, labels, help } of Object.values(metricDefinitions)) {
    const family = families.get(name)
    t.match(family, { type, help }, name)
    const shown = family?.samples.map(sample => Object.keys(sample.labels).filter(label => label !== 'le'))
    t.ok(shown && shown.length > 0, `${name} has series`)
    for (const names of shown ?? []) t.same(names.toSorted(), [...labels].sort(), name)
  }
  const ours = [...families.keys()].filter(name => name.startsWith('driftwatch_'))
  t.equal(ours.length, Object.keys(metricDefinitions).length)
  t.ok(families.has('process_resident_memory_bytes'))
  t.ok(families.has('nodejs_eventloop_lag_seconds'))
  t.match(metrics.contentType, /^text\/plain; version=0\.0\.4/)
})

t.test('a check has one series for each status: 1 for the current one', async t => {
  t.same(await samplesOf('checkStatus', { stacks: [buildStackStates({ states: [buildDriftedState()] })] }), [
    [{ stack: 'runtime', check: 'job-image', status: 'drifted' }, 1],
    [{ stack: 'runtime', check: 'job-image', status: 'unknown' }, 0],
    [{ stack: 'runtime', check: 'job-image', status: 'pending' }, 0],
    [{ stack: 'runtime', check: 'job-image', status: 'in_sync' }, 0],
  ])
})

t.test('differences are counted, except while a check is unknown', async t => {
  const states = [buildState({ check: 'service-image' }), ...(parts.stacks[0]?.states ?? [])]
  t.same(await samplesOf('checkDifferences', { stacks: [buildStackStates({ states })] }), [
    [{ stack: 'runtime', check: 'service-image' }, 0],
    [{ stack: 'runtime', check: 'job-image' }, 1],
  ])
})

t.test('times are seconds since 1970, and absent before the first observation', async t => {
  const unseen = buildStaleState({ check: 'service-image', observedAt: null, staleAt: null, since: noon })
  const stacks = [buildStackStates({ states: [unseen, buildState({ observedAt: noon - 1 })] })]
  t.same(await samplesOf('checkSince', { stacks }), [
    [{ stack: 'runtime', check: 'service-image' }, noon / 1000],
    [{ stack: 'runtime', check: 'job-image' }, noon / 1000 - 7800],
  ])
  t.same(await samplesOf('checkObserved', { stacks }), [[{ stack: 'runtime', check: 'job-image' }, (noon - 1) / 1000]])
})

t.test('the info series names the resources of a stack, with an empty job if there is none', async t => {
  const labels = { stack: 'runtime', project: 'acme', region: 'us-central1', service: 'runtime' }
  t.same(await samplesOf('stackInfo', { stacks: [buildStackStates()] }), [[{ ...labels, job: 'runtime-migrate' }, 1]])
  t.same(await samplesOf('stackInfo', { stacks: [buildStackStates({ job: null })] }), [[{ ...labels, job: '' }, 1]])
  t.same(await samplesOf('buildInfo', {}), [[{ version: '1.2.3', node: 'v24.0.0' }, 1]])
})

t.test('a removed stack has no series', async t => {
  const metrics = buildMetrics()
  metrics.update(buildSnapshot({ stacks: [buildStackStates(), buildStackStates({ name: 'gone' })] }))
  t.match(await textOf(metrics), 'stack="gone"')
  metrics.update(buildSnapshot())
  t.notMatch(await textOf(metrics), 'gone')
  t.match(await textOf(metrics), 'stack="runtime"')
})

t.test('any label value survives being written and read', async t => {
  await t.resolves(
    fc.assert(
      fc.asyncProperty(fc.string({ unit: fc.constantFrom('"', '\\', '\n', 'n', 'ü', ',', '}', ' ') }), async name => {
        const samples = await samplesOf('stackInfo', { stacks: [buildStackStates({ name, states: [] })] })
        t.match(samples, [[{ stack: name }, 1]])
      }),
      { numRuns: 20 },
    ),
  )
})

t.test('labels contain no digest, summary or error message', async t => {
  const metrics = buildMetrics()
  metrics.update(buildSnapshot(parts))
  t.notMatch(await textOf(metrics), /41c3|7f2e|Cloud Run is unavailable|is pinned to/)
})

t.test('counters with known labels start at 0', async t => {
  const metrics = buildMetrics({
    channels: ['log', 'cloud-monitoring'],
    apiMethods: { run: ['GetService', 'ListJobs'] },
  })
  const families = await scrape(metrics)
  const series = (metric: 'probeErrors' | 'apiRequests' | 'alertPublishes') =>
    families.get(metricDefinitions[metric].name)?.samples ?? []
  t.ok(series('probeErrors').some(({ labels }) => labels.probe === 'job' && labels.code === 'PERMISSION_DENIED'))
  t.notOk(series('probeErrors').some(({ labels }) => labels.code === 'STALE' || labels.code === 'BUG'))
  const codes = (method: string) =>
    series('apiRequests').flatMap(({ labels }) => (labels.method === method ? [labels.code] : []))
  t.strictSame(codes('GetService'), codes('ListJobs'))
  t.ok(['OK', 'UNAVAILABLE', 'PERMISSION_DENIED'].every(code => codes('GetService').includes(code)))
  t.notOk(codes('GetService').includes('STALE'))
  t.equal(series('alertPublishes').length, 4)
  for (const metric of ['probeErrors', 'apiRequests', 'alertPublishes'] as const) {
    t.ok(
      series(metric).every(({ value }) => value === 0),
      metric,
    )
  }
})

t.test('events are counted and timed', async t => {
  const metrics = buildMetrics()
  const value = async (name: string, labels: Record<string, string>) => {
    const samples = [...(await scrape(metrics)).values()].flatMap(family => family.samples)
    return samples.find(one => one.name === name && JSON.stringify(one.labels) === JSON.stringify(labels))?.value
  }
  t.equal(await value('driftwatch_probe_duration_seconds_count', { probe: 'job' }), 0)
  t.equal(await value('driftwatch_cycle_completed_timestamp_seconds', {}), undefined, 'no cycle has completed')
  metrics.observeProbe('job', 0.3)
  metrics.observeProbe('job', 0.4)
  metrics.probeFailed('job', 'UNAVAILABLE')
  metrics.apiRequest('run', 'GetJob', 'OK')
  metrics.apiRequest('run', 'GetJob', 'UNAVAILABLE')
  metrics.alertPublished('log', 'failed')
  metrics.cycleCompleted(1.5, noon)
  metrics.verified(noon)
  metrics.verified(null)
  metrics.cacheMismatch()
  t.equal(await value('driftwatch_verified_timestamp_seconds', {}), noon / 1000)
  t.equal(await value('driftwatch_cache_mismatches_total', {}), 1)
  t.equal(await value('driftwatch_probe_duration_seconds_count', { probe: 'job' }), 2)
  t.equal(await value('driftwatch_probe_duration_seconds_sum', { probe: 'job' }), 0.7)
  t.equal(await value('driftwatch_probe_duration_seconds_bucket', { le: '0.25', probe: 'job' }), 0)
  t.equal(await value('driftwatch_probe_duration_seconds_bucket', { le: '0.5', probe: 'job' }), 2)
  t.equal(await value('driftwatch_probe_errors_total', { probe: 'job', code: 'UNAVAILABLE' }), 1)
  t.equal(await value('driftwatch_api_requests_total', { api: 'run', method: 'GetJob', code: 'OK' }), 1)
  t.equal(await value('driftwatch_api_requests_total', { api: 'run', method: 'GetJob', code: 'UNAVAILABLE' }), 1)
  t.equal(await value('driftwatch_alert_publishes_total', { channel: 'log', result: 'failed' }), 1)
  t.equal(await value('driftwatch_cycle_duration_seconds_sum', {}), 1.5)
  t.equal(await value('driftwatch_cycle_completed_timestamp_seconds', {}), noon / 1000)
})

const anyMoment = fc.integer({ min: noon - 2, max: noon + 2 })

const anyStack = fc
  .record({
    project: fc.constantFrom('acme', 'ops'),
    states: fc.array(
      fc.record({
        check: fc.constantFrom('job-image' as const, 'schema' as const),
        status: fc.constantFrom(...statuses),
        since: anyMoment,
        observedAt: fc.option(anyMoment),
        differences: fc.constantFrom([], [buildDifference()], [buildDifference(), buildDifference()]),
      }),
      { maxLength: 3 },
    ),
  })
  .map(({ project, states }) => buildStackStates({ project, states: states.map(state => buildState(state)) }))

t.test('the output does not depend on what was rendered before', async t => {
  const warm = createDriftMetrics()
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(anyStack, { maxLength: 3 }), stacks => {
        const snapshot = buildSnapshot({ stacks: stacks.map((stack, at) => ({ ...stack, name: `s${at}` })) })
        const shown = Buffer.concat(warm(snapshot))
        if (!shown.equals(Buffer.concat(createDriftMetrics()(snapshot)))) throw new Error('other bytes')
        parseExposition(String(shown))
      }),
    ),
  )
})

t.test('two sets of metrics are independent', async t => {
  const [one, other] = [buildMetrics(), buildMetrics()]
  one.alertPublished('log', 'ok')
  t.match(await textOf(one), 'channel="log"')
  t.notMatch(await textOf(other), 'channel="log"')
})
