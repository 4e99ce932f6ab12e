import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

/** What docs/prices.yaml holds. Prices are US dollars. */
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

/** What a month comes to. Calls and samples are counts, the rest is US dollars. */
export interface MonthlyCost {
  /** Requests to Cloud Run, which cost nothing. */
  readonly readCalls: number
  /** Requests to Cloud Monitoring that write points, which cost nothing but the points. */
  readonly writeCalls: number
  readonly instance: number
  readonly customMetrics: number
  /** Three conditions over them, as `alerts.policies: manage` makes them. */
  readonly alerting: number
  /** Instead of custom metrics: the metrics of `/metrics` that say something of a check or a stack, scraped. */
  readonly prometheus: number
}

/** `check_drifted` and `check_unknown`; beside them the heartbeat. */
const pointsOfCheck = 2
/** Drifted, unknown, and silent: the last sees one series. */
const conditions = 3
/** In Prometheus: four of the state set, differences, since and observed; and one that describes the stack. */
const [samplesOfCheck, samplesOfStack] = [7, 1]

/** What watching so many stacks of one project and region costs in a month. */
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
    `| in a month | ${sizes.map(stacks => `${stacks.toLocaleString('en')} ${stacks === 1 ? 'stack' : 'stacks'}`).join(' | ')} |`,
    `|---|${sizes.map(() => '--:|').join('')}`,
    row('requests to Cloud Run, without charge', cost => count(cost.readCalls)),
    row('requests that write to Cloud Monitoring, without charge', cost => count(cost.writeCalls)),
    row('the instance', cost => dollars(cost.instance)),
    row('custom metrics', cost => dollars(cost.customMetrics)),
    row('alerting', cost => dollars(cost.alerting)),
    row('**all of it**', cost => `**${dollars(cost.instance + cost.customMetrics + cost.alerting)}**`),
    row('Managed Service for Prometheus, in place of custom metrics', cost => dollars(cost.prometheus)),
  ].join('\n')
}

function readBasis(): CostBasis {
  return parse(readFileSync(new URL('prices.yaml', import.meta.url), 'utf8')) as CostBasis
}
