import type { PolicyCondition, WantedPolicy, WantedUptimeCheck } from '../../clients/monitoring/alert-policy.ts'
import type { Config, Stack } from '../../config/config.ts'
import { alertMetrics } from '../descriptors.ts'
import { seriesFilter } from '../identity.ts'
import { driftedDocumentation, silentDocumentation, unknownDocumentation } from './documentation.ts'
import { lookWindowMs, silentAfterMs, unknownAfterMs, unwatchableSilence } from './windows.ts'

/** The user labels by which Driftwatch knows what is its own. */
export const ownerLabel = 'driftwatch_monitor'
export const kindLabel = 'driftwatch_alert'
export const routeLabel = 'driftwatch_route'

const minuteMs = 60_000

/** Cloud Monitoring takes no longer filter and no more conditions. */
const longestFilter = 2048
const mostConditions = 6

/** What is wanted in Cloud Monitoring, and what of the config cannot be had there. */
export interface WantedAlerts {
  readonly policies: readonly WantedPolicy[]
  readonly uptimeCheck: WantedUptimeCheck | null
  readonly problems: readonly string[]
}

/** Stacks whose alerts go to the same notification channels. */
interface Route {
  readonly name: string
  readonly notificationChannels: readonly string[]
  /** Parts of a filter, a condition for each; empty is every stack. */
  readonly filters: readonly string[]
}

/** The alert policies that a config wants of the monitor of that name. Pure. */
export function wantedAlerts(
  config: Config,
  { project, monitor }: { readonly project: string; readonly monitor: string },
): WantedAlerts {
  const routes = routesOf(config)
  const routed = routes.flatMap(route => [drifted(config, monitor, route), unknown(config, monitor, route)])
  // Whatever else cannot be had: that nobody watches must be known.
  const policies = [silent(config, { project, monitor }), ...routed]
  return {
    policies,
    uptimeCheck: config.alerts.uptimeCheck ? uptimeCheck(config, project, monitor) : null,
    problems: [...policies.flatMap(tooManyConditions), ...unwatchableSilence(config), ...unpublished(config)],
  }
}

/**
 * Opens when most looks of a window say drifted, and go on to for another: one odd look opens nothing, and with a look a
 * minute nobody waits for more than two minutes. Where several instances look, one that sees it is enough.
 */
function drifted(config: Config, monitor: string, route: Route): WantedPolicy {
  return {
    ...shared(config, monitor, 'drifted', route),
    documentation: driftedDocumentation(config),
    severity: config.alerts.severity.toUpperCase(),
    conditions: conditions(route, 'a check has drifted', {
      filter: seriesFilter(alertMetrics.drifted, monitor),
      alignmentMs: lookWindowMs(config),
      aligner: 'ALIGN_MEAN',
      threshold: 0.6,
      durationMs: lookWindowMs(config),
    }),
  }
}

/** Opens when no look has seen anything for so long. */
function unknown(config: Config, monitor: string, route: Route): WantedPolicy {
  return {
    ...shared(config, monitor, 'unknown', route),
    documentation: unknownDocumentation(config, unknownAfterMs(config)),
    severity: 'WARNING',
    conditions: conditions(route, 'a check is unknown', {
      filter: seriesFilter(alertMetrics.unknown, monitor),
      alignmentMs: lookWindowMs(config),
      aligner: 'ALIGN_MIN',
      threshold: 0,
      durationMs: unknownAfterMs(config),
    }),
  }
}

/** Reduced over every label: an instance that is replaced is no silence. */
function silent(
  config: Config,
  { project, monitor }: { readonly project: string; readonly monitor: string },
): WantedPolicy {
  const { notificationChannels } = config.alerts
  return {
    ...shared(config, monitor, 'silent', { name: 'default', notificationChannels, filters: [] }),
    documentation: silentDocumentation(config, { project, monitor }, silentAfterMs(config)),
    severity: 'CRITICAL',
    conditions: [
      {
        displayName: 'no heartbeat',
        kind: 'absence',
        filter: seriesFilter(alertMetrics.heartbeat, monitor),
        alignmentMs: minuteMs,
        aligner: 'ALIGN_MAX',
        reducer: 'REDUCE_MAX',
        groupBy: [],
        comparison: null,
        threshold: null,
        durationMs: silentAfterMs(config),
        missingData: null,
      },
    ],
  }
}

function shared({ alerts }: Config, monitor: string, kind: string, route: Route) {
  const routed = route.name === 'default' ? '' : ` (${route.name})`
  return {
    displayName: `Driftwatch ${monitor}: ${kind}${routed}`,
    userLabels: { [ownerLabel]: monitor, [kindLabel]: kind, [routeLabel]: route.name },
    combiner: 'OR',
    enabled: true,
    notificationChannels: route.notificationChannels,
    autoCloseMs: alerts.autoCloseMs,
    notificationPrompts: ['OPENED', 'CLOSED'],
  }
}

function conditions(
  { filters }: Route,
  displayName: string,
  what: Pick<PolicyCondition, 'filter' | 'alignmentMs' | 'aligner' | 'threshold' | 'durationMs'>,
): PolicyCondition[] {
  return (filters.length > 0 ? filters : ['']).map((part, index) => ({
    ...what,
    displayName: index === 0 ? displayName : `${displayName} (${index + 1})`,
    kind: 'threshold',
    filter: part === '' ? what.filter : `${what.filter} AND ${part}`,
    reducer: 'REDUCE_MAX',
    groupBy: ['metric.label.stack', 'metric.label.check'],
    comparison: 'COMPARISON_GT',
    // Losing sight closes no incident, and opens none.
    missingData: 'EVALUATION_MISSING_DATA_NO_OP',
  }))
}

/** The routes that have stacks, and the default one for all the others. */
function routesOf({ alerts, stacks }: Config): Route[] {
  const taken = new Map(alerts.routes.map(route => [route.name, [] as string[]]))
  for (const stack of stacks) taken.get(routeOf(stack, alerts.routes) ?? '')?.push(stack.name)
  const routes = alerts.routes.flatMap(({ name, notificationChannels }) => {
    const names = taken.get(name) ?? []
    return names.length === 0 ? [] : [{ name, notificationChannels, filters: oneOf(names) }]
  })
  const elsewhere = [...taken.values()].flat()
  const here = stacks.map(({ name }) => name).filter(name => !elsewhere.includes(name))
  const rest = { name: 'default', notificationChannels: alerts.notificationChannels }
  if (elsewhere.length === 0) return [...routes, { ...rest, filters: [] }]
  // What is new in the config must reach somebody even before the policies know of it.
  const noneOf = elsewhere.map(name => `metric.label.stack != "${name}"`).join(' AND ')
  if (noneOf.length <= longestFilter - roomForMetric) return [...routes, { ...rest, filters: [noneOf] }]
  return here.length === 0 ? routes : [...routes, { ...rest, filters: oneOf(here) }]
}

function routeOf({ labels }: Stack, routes: Config['alerts']['routes']): string | undefined {
  return routes.find(route => Object.entries(route.labels).every(([key, value]) => labels[key] === value))?.name
}

/** What a filter says besides the stacks. */
const roomForMetric = 300

/** As few parts as the longest filter allows. */
function oneOf(names: readonly string[]): string[] {
  const parts: string[][] = [[]]
  let length = 0
  for (const name of names) {
    if (length + name.length + 3 > longestFilter - roomForMetric) {
      parts.push([])
      length = 0
    }
    parts.at(-1)?.push(`"${name}"`)
    length += name.length + 3
  }
  return parts.map(part => `metric.label.stack = one_of(${part.join(',')})`)
}

function tooManyConditions({ displayName, conditions }: WantedPolicy): string[] {
  if (conditions.length <= mostConditions) return []
  return [
    `"${displayName}" would need ${conditions.length} conditions for its stacks, and ${mostConditions} are allowed: take more routes of fewer stacks`,
  ]
}

function unpublished({ alerts }: Config): string[] {
  if (alerts.channels.includes('cloud-monitoring')) return []
  return ['alerts.channels leaves cloud-monitoring out: nothing is published that these policies could watch']
}

function uptimeCheck({ alerts }: Config, project: string, monitor: string): WantedUptimeCheck {
  const { host, pathname } = new URL(alerts.baseUrl ?? 'https://localhost')
  return {
    displayName: `Driftwatch ${monitor}: gate`,
    userLabels: { [ownerLabel]: monitor, [kindLabel]: 'gate' },
    project,
    host,
    path: `${pathname.replace(/\/$/, '')}/drift/gate`,
    periodMs: minuteMs,
    timeoutMs: 10_000,
    oidc: true,
  }
}
