import type { PolicyCondition, WantedPolicy, WantedUptimeCheck } from '../../clients/monitoring/alert-policy.ts'
import type { Config, Stack } from '../../config/config.ts'
import { alertMetrics } from '../descriptors.ts'
import { type MonitorIdentity, seriesFilter } from '../identity.ts'
import { driftedDocumentation, silentDocumentation, unknownDocumentation } from './documentation.ts'
import { silentAfterMs, unknownAfterMs, unsupportedGaps, windowMs } from './windows.ts'

/** User labels that identify the policies of a monitor. */
export const ownerLabel = 'driftwatch_monitor'
export const kindLabel = 'driftwatch_alert'
export const routeLabel = 'driftwatch_route'

const minuteMs = 60_000

/** Limits of Cloud Monitoring: the length of a filter, and the number of conditions in a policy. */
const maxFilterLength = 2048
const maxConditions = 6

/** The policies and uptime check for a configuration, and the problems that prevent a part of them. */
export interface WantedAlerts {
  readonly policies: readonly WantedPolicy[]
  readonly uptimeCheck: WantedUptimeCheck | null
  readonly problems: readonly string[]
}

/** Stacks with the same notification channels. */
interface Route {
  readonly name: string
  readonly notificationChannels: readonly string[]
  /** Filters that select the stacks, one for each condition; empty selects every stack. */
  readonly filters: readonly string[]
}

/** The alert policies for a configuration and a monitor. Pure. */
export function wantedAlerts(config: Config, identity: MonitorIdentity): WantedAlerts {
  const { monitor } = identity
  const routed = routesOf(config).flatMap(route => [drifted(config, monitor, route), unknown(config, monitor, route)])
  // First the "silent" policy, which matters most if a later step fails.
  const policies = [silent(config, identity), ...routed]
  return {
    policies,
    uptimeCheck: config.alerts.uptimeCheck ? uptimeCheck(config, identity) : null,
    problems: [...policies.flatMap(tooManyConditions), ...unsupportedGaps(config), ...unpublished(config)],
  }
}

/**
 * Opens when most observations of a window are drifted, and this holds for another window. A single observation opens
 * nothing; with a cycle every minute an incident opens within two minutes. With several instances, one is enough.
 */
function drifted(config: Config, monitor: string, route: Route): WantedPolicy {
  return {
    ...shared(config, monitor, 'drifted', route),
    documentation: driftedDocumentation(config),
    severity: config.alerts.severity.toUpperCase(),
    conditions: conditions(route, 'a check has drifted', {
      filter: seriesFilter(alertMetrics.drifted, monitor),
      alignmentMs: windowMs(config),
      aligner: 'ALIGN_MEAN',
      threshold: 0.6,
      durationMs: windowMs(config),
    }),
  }
}

/** Opens when every observation was unknown for `unknownAfter`. */
function unknown(config: Config, monitor: string, route: Route): WantedPolicy {
  return {
    ...shared(config, monitor, 'unknown', route),
    documentation: unknownDocumentation(config, unknownAfterMs(config)),
    severity: 'WARNING',
    conditions: conditions(route, 'a check is unknown', {
      filter: seriesFilter(alertMetrics.unknown, monitor),
      alignmentMs: windowMs(config),
      aligner: 'ALIGN_MIN',
      threshold: 0,
      durationMs: unknownAfterMs(config),
    }),
  }
}

/** Reduced over all labels, so that replacing an instance opens nothing. */
function silent(config: Config, identity: MonitorIdentity): WantedPolicy {
  const { monitor } = identity
  const { notificationChannels } = config.alerts
  return {
    ...shared(config, monitor, 'silent', { name: 'default', notificationChannels, filters: [] }),
    documentation: silentDocumentation(config, identity, silentAfterMs(config)),
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
    // Missing data neither closes nor opens an incident.
    missingData: 'EVALUATION_MISSING_DATA_NO_OP',
  }))
}

/** The routes with stacks, and the default route for all other stacks. */
function routesOf({ alerts, stacks }: Config): Route[] {
  const namesByRoute = new Map(alerts.routes.map(route => [route.name, [] as string[]]))
  for (const stack of stacks) namesByRoute.get(routeOf(stack, alerts.routes) ?? '')?.push(stack.name)
  const routes = alerts.routes.flatMap(({ name, notificationChannels }) => {
    const names = namesByRoute.get(name) ?? []
    return names.length === 0 ? [] : [{ name, notificationChannels, filters: oneOf(names) }]
  })
  const routed = [...namesByRoute.values()].flat()
  const others = stacks.map(({ name }) => name).filter(name => !routed.includes(name))
  const rest = { name: 'default', notificationChannels: alerts.notificationChannels }
  if (routed.length === 0) return [...routes, { ...rest, filters: [] }]
  // An exclusion, if short enough, so that a new stack pages before the policies are updated.
  const noneOf = routed.map(name => `metric.label.stack != "${name}"`).join(' AND ')
  if (noneOf.length <= maxStackFilterLength) return [...routes, { ...rest, filters: [noneOf] }]
  return others.length === 0 ? routes : [...routes, { ...rest, filters: oneOf(others) }]
}

function routeOf({ labels }: Stack, routes: Config['alerts']['routes']): string | undefined {
  return routes.find(route => Object.entries(route.labels).every(([key, value]) => labels[key] === value))?.name
}

/** Leaves 300 characters for the rest of the filter. */
const maxStackFilterLength = maxFilterLength - 300

/** Splits the names into as few filters as their maximum length allows. */
function oneOf(names: readonly string[]): string[] {
  const parts: string[][] = [[]]
  let length = 0
  for (const name of names) {
    if (length + name.length + 3 > maxStackFilterLength) {
      parts.push([])
      length = 0
    }
    parts.at(-1)?.push(`"${name}"`)
    length += name.length + 3
  }
  return parts.map(part => `metric.label.stack = one_of(${part.join(',')})`)
}

function tooManyConditions({ displayName, conditions }: WantedPolicy): string[] {
  if (conditions.length <= maxConditions) return []
  return [
    `policy "${displayName}" needs ${conditions.length} conditions for its stacks, but the limit is ${maxConditions}. Split them into more routes.`,
  ]
}

function unpublished({ alerts }: Config): string[] {
  if (alerts.channels.includes('cloud-monitoring')) return []
  return ['alerts.channels does not contain cloud-monitoring, so the metrics of these policies are not published']
}

function uptimeCheck({ alerts }: Config, { project, monitor }: MonitorIdentity): WantedUptimeCheck {
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
