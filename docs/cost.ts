import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

/** The contents of docs/prices.yaml. Prices are in US dollars. */
export interface CostBasis {
  readonly prices: {
    readonly instance: {
      readonly vcpuSecond: number
      readonly freeVcpuSeconds: number
      readonly gibSecond: number
      readonly freeGibSeconds: number
    }
    readonly metrics: { readonly mib: number; readonly freeMib: number; readonly bytesOfPoint: number }
    readonly prometheus: { readonly millionSamples: number }
    readonly alerting: {
      readonly condition: number
      readonly millionSeries: number
      readonly evaluationSeconds: number
    }
  }
  readonly assumptions: {
    readonly daysOfMonth: number
    readonly cycleSeconds: number
    readonly checksOfStack: number
    readonly resourcesOnPage: number
    readonly seriesInCall: number
    readonly vcpu: number
    readonly gib: number
    readonly scrapeSeconds: number
  }
}

/** Calls are counts. All other values are US dollars. */
export interface MonthlyCost {
  /** Requests to Cloud Run. They are free. */
  readonly readCalls: number
  /** Requests that write points to Cloud Monitoring. Only the points are charged. */
  readonly writeCalls: number
  readonly instance: number
  readonly customMetrics: number
  /** The three conditions of `alerts.policies: manage`. */
  readonly alerting: number
  /** Instead of custom metrics: scraping the metrics of checks and stacks from `/metrics`. */
  readonly prometheus: number
}

/** `check_drifted` and `check_unknown`. The heartbeat is one more series. */
const pointsOfCheck = 2
/** Drifted, unknown, and a silent monitor, which reads one series. */
const conditions = 3
/** For a check: four status samples, differences, since and observed. For a stack: its info metric. */
const [samplesOfCheck, samplesOfStack] = [7, 1]

/** The monthly cost of `stacks` stacks in one project and region. */
export function monthlyCost(stacks: number, { prices, assumptions }: CostBasis): MonthlyCost {
  const { instance, metrics, alerting, prometheus } = prices
  const seconds = assumptions.daysOfMonth * 86_400
  const cycles = seconds / assumptions.cycleSeconds
  const checks = stacks * assumptions.checksOfStack
  const series = checks * pointsOfCheck + 1
  const beyond = (used: number, free: number) => Math.max(0, used - free)
  return {
    readCalls: cycles * 2 * Math.ceil(stacks / assumptions.resourcesOnPage),
    writeCalls: cycles * Math.ceil(series / assumptions.seriesInCall),
    instance:
      beyond(seconds * assumptions.vcpu, instance.freeVcpuSeconds) * instance.vcpuSecond +
      beyond(seconds * assumptions.gib, instance.freeGibSeconds) * instance.gibSecond,
    customMetrics: beyond((cycles * series * metrics.bytesOfPoint) / 2 ** 20, metrics.freeMib) * metrics.mib,
    alerting:
      conditions * alerting.condition + evaluationCost(series, seconds / alerting.evaluationSeconds, prices.alerting),
    prometheus:
      ((seconds / assumptions.scrapeSeconds) *
        (checks * samplesOfCheck + stacks * samplesOfStack) *
        prometheus.millionSamples) /
      1e6,
  }
}

/** What conditions cost that return so many series each time that they are evaluated. */
export function evaluationCost(
  series: number,
  evaluations: number,
  alerting: { readonly millionSeries: number },
): number {
  return (series * evaluations * alerting.millionSeries) / 1e6
}

const sizes = [1, 100, 1000]

/** The table of docs/cost.md. */
export function costTable(basis: CostBasis = readBasis()): string {
  const costs = sizes.map(stacks => monthlyCost(stacks, basis))
  const row = (what: string, of: (cost: MonthlyCost) => string) => `| ${[what, ...costs.map(of)].join(' | ')} |`
  const dollars = (value: number) =>
    `$${value.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`
  const count = (value: number) => Math.round(value).toLocaleString('en')
  return [
    `| per month | ${sizes.map(stacks => `${stacks.toLocaleString('en')} ${stacks === 1 ? 'stack' : 'stacks'}`).join(' | ')} |`,
    `|---|${sizes.map(() => '--:|').join('')}`,
    row('requests to Cloud Run, free', cost => count(cost.readCalls)),
    row('write requests to Cloud Monitoring, free', cost => count(cost.writeCalls)),
    row('the instance', cost => dollars(cost.instance)),
    row('custom metrics', cost => dollars(cost.customMetrics)),
    row('alerting', cost => dollars(cost.alerting)),
    row('**total**', cost => `**${dollars(cost.instance + cost.customMetrics + cost.alerting)}**`),
    row('Managed Service for Prometheus, instead of custom metrics', cost => dollars(cost.prometheus)),
  ].join('\n')
}

function readBasis(): CostBasis {
  return parse(readFileSync(new URL('prices.yaml', import.meta.url), 'utf8')) as CostBasis
}
