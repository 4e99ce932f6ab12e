import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { isScalar, parse, parseDocument, stringify, visit } from 'yaml'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../sandbox/sandbox.ts'
import { exactDuration, parseDuration } from '../../src/duration.ts'
import { metricDefinitions } from '../../src/metrics/definitions.ts'
import {
  eventually,
  noPrometheus,
  openDirectory,
  type Prometheus,
  runPromtool,
  startAlertmanager,
  startPrometheus,
} from '../helpers/prometheus.ts'

// Timelines of days, and servers that are started and restarted.
t.setTimeout(300_000)

const deploy = (file: string) => fileURLToPath(new URL(`../../deploy/${file}`, import.meta.url))
const read = (file: string) => readFileSync(deploy(file), 'utf8')

interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly for?: string
  readonly annotations?: Readonly<Record<string, string>>
}
interface RuleFile {
  readonly groups: readonly { readonly name: string; readonly interval: string; readonly rules: readonly Rule[] }[]
}

const rulesFile = 'prometheus/driftwatch.rules.yaml'
const rules = (parse(read(rulesFile)) as RuleFile).groups.flatMap(group => group.rules)
const alerts = rules.filter(rule => rule.alert !== undefined)
const publishes = metricDefinitions.alertPublishes.name
const options = { skip: noPrometheus }

t.test('Prometheus accepts the rules and the scrape config', options, async t => {
  const checked = await runPromtool(['check', 'rules', deploy(rulesFile)])
  t.equal(checked.code, 0, checked.output)
  const config = await runPromtool(['check', 'config', '--syntax-only', deploy('prometheus/scrape.yaml')])
  t.equal(config.code, 0, config.output)
})

for (const file of readdirSync(deploy('prometheus')).filter(name => name.endsWith('.test.yaml'))) {
  t.test(`the alerts fire as in the timelines of ${file}`, options, async t => {
    const tested = await runPromtool(['test', 'rules', deploy(`prometheus/${file}`)])
    t.equal(tested.code, 0, tested.output)
  })
}

t.test('every alert has a summary, a command and a runbook, and has timelines', async t => {
  const docs = readFileSync(new URL('../../docs/alerts-prometheus.md', import.meta.url), 'utf8')
  const timelines = read('prometheus/driftwatch.rules.test.yaml')
  for (const { alert, annotations } of alerts) {
    const anchor = `docs/alerts-prometheus.md#${alert?.toLowerCase()}`
    t.match(annotations, { summary: /./, description: /./, command: /^curl .*"\$DRIFTWATCH_URL\//, runbook: anchor })
    t.ok(docs.includes(`\n### ${alert}\n`), `docs/alerts-prometheus.md explains ${alert}`)
    t.ok(timelines.includes(`alertname: ${alert}\n        exp_alerts`), `a timeline opens ${alert}`)
  }
  for (const { annotations } of alerts.filter(({ alert }) => alert === 'DriftwatchDrifted')) {
    t.match(annotations?.summary, /\$labels\.check.*\$labels\.stack/)
    t.match(annotations?.command, '/drift/{{ $labels.stack }}')
  }
})

t.test('the sidecar scrapes the path of the metrics, and keeps every metric that a query uses', async t => {
  const config = parse(read('prometheus/run-monitoring.yaml'))
  t.match(config, {
    apiVersion: 'monitoring.googleapis.com/v1beta',
    kind: 'RunMonitoring',
    metadata: { name: 'driftwatch' },
    spec: { endpoints: [{ port: 8080, path: '/metrics', interval: /^\d+s$/ }] },
  })
  const [{ action, regex }] = config.spec.endpoints[0].metricRelabeling
  t.equal(action, 'keep')
  const kept = new RegExp(`^(?:${regex})$`)
  for (const name of shippedQueries().flatMap(({ expression }) => scrapedMetrics(expression))) t.match(name, kept)
  t.notMatch('nodejs_heap_size_total_bytes', kept)
})

interface Query {
  readonly where: string
  readonly expression: string
}

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[]
}
interface Variable {
  readonly name: string
  readonly query: string | { readonly query: string }
}
interface GrafanaDashboard {
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly Variable[] }
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] }
}

const grafana = JSON.parse(read('grafana/driftwatch.json')) as GrafanaDashboard

/** The values of Grafana's variables if everything is selected. */
const grafanaVariables = [
  [/\$job\b/g, '.+'],
  [/\$stack\b/g, '.+'],
  [/\$__rate_interval\b/g, '30s'],
] as const

function grafanaQueries(): Query[] {
  const panels = grafana.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ where: `Grafana, ${title}`, expression: expr })),
  )
  const annotations = grafana.annotations.list.map(({ name, expr }) => ({
    where: `Grafana, annotation ${name}`,
    expression: expr,
  }))
  const variables = grafana.templating.list.flatMap(({ name, query }) => {
    if (typeof query === 'string') return []
    const [, metric, label] = /^label_values\((.+), (\w+)\)$/.exec(query.query) ?? []
    return [{ where: `Grafana, variable ${name}`, expression: `count by (${label}) (${metric})` }]
  })
  return [...panels, ...annotations, ...variables].map(({ where, expression }) => ({
    where,
    expression: grafanaVariables.reduce((text, [name, value]) => text.replaceAll(name, value), expression),
  }))
}

/** Every string under a key of this name, at any depth. */
function stringsUnder(key: string, value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) =>
    name === key && typeof inner === 'string' ? [inner] : stringsUnder(key, inner),
  )
}

const cloudDashboard = JSON.parse(read('cloud-monitoring/dashboard.json'))

function cloudQueries(): Query[] {
  const tiles = cloudDashboard.mosaicLayout.tiles as { widget: { title: string } }[]
  return tiles.flatMap(({ widget }) =>
    stringsUnder('prometheusQuery', widget).map(query => ({
      where: `Cloud Monitoring, ${widget.title}`,
      expression: query.replaceAll(/\$\{__interval\}/g, '30s'),
    })),
  )
}

function ruleQueries(): Query[] {
  return rules.map(({ alert, record, expr }) => ({ where: `rules, ${alert ?? record}`, expression: expr }))
}

function shippedQueries(): Query[] {
  return [...ruleQueries(), ...grafanaQueries(), ...cloudQueries()]
}

/** The scraped metrics in an expression; names of recording rules have a colon. */
function scrapedMetrics(expression: string): string[] {
  return expression.match(/(?<![\w:"])(?:driftwatch|process|nodejs)_\w+(?![\w:]*:)/g) ?? []
}

/** Queries that may return nothing in the scenarios of the next test, with the reason. */
const mayFindNothing = new Map([
  ['rules, DriftwatchCycleStale', 'the service runs a cycle every second'],
  ['rules, DriftwatchDown', 'the service runs'],
  ['rules, DriftwatchPublishFailing', 'no channel fails'],
  ['rules, DriftwatchConfigRefused', 'the config passes'],
])

t.test('every query of the rules and dashboards runs against the metrics of the service', options, async t => {
  const sandbox = await buildSandbox(t, { config: await discovering(t) })
  const prometheus = await buildPrometheus(t, { target: hostOf(sandbox), rules: shortened(read(rulesFile)) })
  const scraped = await eventually('a scrape after the first cycle', async () => {
    const names = await prometheus.query('count by (__name__) ({job="driftwatch"})')
    const cycle = names.some(({ metric }) => metric.__name__ === metricDefinitions.cycleCompleted.name)
    return cycle && new Set(names.map(({ metric }) => metric.__name__))
  })
  // Without a channel nothing is published, and these series do not exist.
  const unpublished: string[] = scraped.has(publishes) ? [] : [publishes]
  const queries = shippedQueries()
  const excused = ({ where, expression }: Query) =>
    mayFindNothing.has(where) || unpublished.some(name => expression.includes(name))

  const wanted = new Set(queries.flatMap(({ expression }) => scrapedMetrics(expression)))
  const known = (name: string) => scraped.has(name) || unpublished.includes(name)
  t.strictSame(
    [...wanted].filter(name => !known(name)),
    [],
    'every metric of a query exists',
  )
  const stale = [...mayFindNothing.keys()].filter(where => !queries.some(query => query.where === where))
  t.strictSame(stale, [], 'every exception belongs to a query')

  const empty = new Set(queries)
  const stillEmpty = async () => {
    for (const query of empty) if ((await prometheus.query(query.expression)).length > 0) empty.delete(query)
    return [...empty].filter(query => !excused(query)).map(({ where }) => where)
  }
  await sandbox.inject('job-left-behind')
  const aboutBlindness = /unknown$|failed probes|api errors/i
  await settle(t, 'all queries except those for unknown checks return something while checks are drifted', async () =>
    (await stillEmpty()).filter(where => !aboutBlindness.test(where)),
  )
  await sandbox.inject('api-denied')
  await settle(t, 'the others return something after probes have failed', stillEmpty)
  t.comment(`${queries.length} queries; without result: ${[...empty].map(({ where }) => where).join('; ')}`)
})

t.test('the dashboard of Cloud Monitoring uses exactly the published metrics', async t => {
  const filters = stringsUnder('filter', cloudDashboard)
  const types = filters.map(filter => /^metric\.type="([^"]+)" resource\.type="generic_task"$/.exec(filter)?.[1])
  const published = ['check_drifted', 'check_unknown', 'heartbeat'].map(
    name => `custom.googleapis.com/driftwatch/${name}`,
  )
  t.strictSame([...new Set(types)].toSorted(), published)
})

t.test('panels and tiles do not overlap, and every Grafana panel uses the selected data source', async t => {
  const tiles = cloudDashboard.mosaicLayout.tiles as { xPos: number; yPos: number; width: number; height: number }[]
  const places = [
    { columns: 24, boxes: grafana.panels.map(({ gridPos }) => gridPos) },
    {
      columns: cloudDashboard.mosaicLayout.columns as number,
      boxes: tiles.map(({ xPos, yPos, width, height }) => ({ x: xPos, y: yPos, w: width, h: height })),
    },
  ]
  for (const { columns, boxes } of places) {
    const cells = boxes.flatMap(({ x, y, w, h }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    )
    t.equal(new Set(cells).size, cells.length, 'none overlaps')
    t.ok(
      boxes.every(({ x, w }) => x + w <= columns),
      'none sticks out',
    )
  }
  const ids = grafana.panels.map(({ id }) => id)
  t.equal(new Set(ids).size, ids.length, 'ids are unique')
  for (const { type, title, targets = [] } of grafana.panels.filter(({ type }) => type !== 'row')) {
    t.ok(targets.length > 0, `${type} ${title} has a query`)
    t.ok(
      targets.every(({ datasource }) => datasource.uid === '$datasource'),
      `${title} uses the selected data source`,
    )
  }
})

t.test(
  'drift notifies through Alertmanager; failed probes do not resolve the alert, a fix does',
  { ...options, timeout: 120_000 },
  async t => {
    const sandbox = await buildSandbox(t)
    const { pages, url } = await buildPager(t)
    const directory = await openDirectory()
    t.teardown(directory.remove)
    const alertmanager = await startAlertmanager(directory.path, url)
    t.teardown(alertmanager.close)
    const start = () =>
      startPrometheus({
        directory: directory.path,
        target: hostOf(sandbox),
        rules: shortened(read(rulesFile)),
        alertmanager: alertmanager.host,
      })
    let prometheus = await start()
    t.teardown(() => prometheus.close())
    const drifted = ['job-image', 'migration-execution', 'schema'].map(check => `DriftwatchDrifted runtime ${check}`)
    // The database of the next scenario has the table again, and its probe succeeds.
    const kept = drifted.filter(name => !name.endsWith('schema'))
    const firing = async () => (await prometheus.firing()).filter(name => name.startsWith('DriftwatchDrifted'))
    const sent = (status: string) => [...new Set(pages.filter(page => page.status === status).map(({ name }) => name))]

    await eventually('the status in Prometheus', async () => {
      const checks = await prometheus.query('driftwatch_check_status{status="in_sync"}')
      const inSync = await prometheus.query('driftwatch_check_status{status="in_sync"} == 1')
      return checks.length > 0 && inSync.length === checks.length
    })
    t.strictSame(pages, [], 'no notification while everything is in sync')

    await sandbox.inject('job-left-behind')
    await eventually('notifications of the drift', async () => sent('firing').length === drifted.length)
    t.strictSame(sent('firing').toSorted(), drifted)
    t.match(pages[0], { annotations: { command: 'curl -sS "$DRIFTWATCH_URL/drift/runtime?format=text"' } })

    await sandbox.inject('api-denied')
    await blindFor(prometheus, 5)
    t.strictSame(await firing(), kept, 'failed probes resolve no alert')
    await prometheus.close()
    prometheus = await start()
    await blindFor(prometheus, 12)
    t.strictSame(await firing(), kept, 'nor do failed probes with a restart of Prometheus')
    t.strictSame(
      sent('resolved').filter(name => kept.includes(name)),
      [],
      'no notification that they are resolved',
    )

    await sandbox.inject('healthy')
    await eventually('notifications of the resolution', async () =>
      drifted.every(name => sent('resolved').includes(name)),
    )
    t.strictSame(await firing(), [], 'proven in sync, nothing fires')
  },
)

/** Waits until the checks of Cloud Run have been unknown for longer than the interval of the rules. */
async function blindFor(prometheus: Prometheus, seconds: number): Promise<void> {
  const unknown = 'driftwatch_check_status{status="unknown",check=~"service-image|job-image|migration-execution"} == 1'
  const since = `time() - driftwatch_check_status_since_timestamp_seconds > ${seconds}`
  await eventually(`${seconds} s of failed probes`, async () => {
    return (await prometheus.query(`(${since}) and on (stack, check) (${unknown})`)).length === 3
  })
}

/** A sandbox with a cycle every second, whose observations are stale after three. */
async function buildSandbox(t: Test, options: Pick<SandboxOptions, 'config'> = {}): Promise<Sandbox> {
  const sandbox = await startSandbox({ port: 0, schedule: '* * * * * *', timeout: '1s', staleAfter: '3s', ...options })
  t.teardown(sandbox.close)
  return sandbox
}

/** The sandbox's config with discovery, so that its metrics exist. */
async function discovering(t: Test): Promise<string> {
  const directory = await openDirectory()
  t.teardown(directory.remove)
  const config = parse(readFileSync(new URL('../../sandbox/driftwatch.yaml', import.meta.url), 'utf8'))
  const file = join(directory.path, 'driftwatch.yaml')
  const discover = [{ projects: ['openagentsgemini'], regions: ['us-central1'] }]
  writeFileSync(file, stringify({ ...config, discover }))
  return file
}

const hostOf = ({ url }: Sandbox) => new URL(url).host

async function buildPrometheus(t: Test, options: { target: string; rules: string }): Promise<Prometheus> {
  const directory = await openDirectory()
  t.teardown(directory.remove)
  const prometheus = await startPrometheus({ directory: directory.path, ...options })
  t.teardown(prometheus.close)
  return prometheus
}

/** The shipped rules with each `for` and `interval` divided by 30: a minute becomes two seconds. */
function shortened(text: string): string {
  const document = parseDocument(text)
  visit(document, {
    Pair(_, pair) {
      if (!isScalar(pair.key) || !isScalar(pair.value) || !['for', 'interval'].includes(String(pair.key.value))) return
      pair.value.value = exactDuration((parseDuration(String(pair.value.value)) ?? 0) / 30)
    },
  })
  return document.toString()
}

interface Page {
  readonly status: string
  /** `DriftwatchDrifted runtime job-image` */
  readonly name: string
  readonly annotations: Readonly<Record<string, string>>
}
interface Notification {
  readonly alerts: readonly {
    readonly status: string
    readonly labels: Readonly<Record<string, string>>
    readonly annotations: Readonly<Record<string, string>>
  }[]
}

/** A webhook that records the notifications of Alertmanager. */
async function buildPager(t: Test): Promise<{ readonly url: string; readonly pages: readonly Page[] }> {
  const pages: Page[] = []
  const server = createServer(async (request, response) => {
    const { alerts } = (await json(request)) as Notification
    for (const { status, labels, annotations } of alerts) {
      pages.push({
        status,
        annotations,
        name: [labels.alertname, labels.stack, labels.check].filter(Boolean).join(' '),
      })
    }
    response.end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { pages, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** Waits until nothing remains; after a timeout, rejects with what remains. */
async function settle(t: Test, title: string, left: () => Promise<readonly string[]>): Promise<void> {
  await eventually(title, async () => (await left()).length === 0).catch(() => {})
  t.strictSame(await left(), [], title)
}
