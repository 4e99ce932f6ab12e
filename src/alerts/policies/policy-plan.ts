import type {
  AlertPolicy,
  ChangedPolicy,
  ChangedUptimeCheck,
  NamedCondition,
  PolicyCondition,
  UptimeCheck,
  WantedPolicy,
  WantedUptimeCheck,
} from '../../clients/monitoring/alert-policy.ts'
import type { MetricDescriptor } from '../../clients/monitoring/time-series.ts'
import { kindLabel, ownerLabel, routeLabel } from './policies.ts'

/** One thing to do, and how it is told. */
export type PolicyStep = { readonly title: string; readonly details: readonly string[] } & (
  | { readonly kind: 'create-descriptor'; readonly descriptor: MetricDescriptor }
  | { readonly kind: 'create-policy'; readonly policy: WantedPolicy }
  | { readonly kind: 'update-policy'; readonly policy: ChangedPolicy }
  | { readonly kind: 'delete-policy'; readonly name: string }
  | { readonly kind: 'create-uptime-check'; readonly check: WantedUptimeCheck }
  | { readonly kind: 'update-uptime-check'; readonly check: ChangedUptimeCheck }
  | { readonly kind: 'delete-uptime-check'; readonly name: string }
)

/** What it takes to make the alert policies of a monitor right. Pure: what is there is compared with what is wanted. */
export function planPolicies(
  wanted: readonly WantedPolicy[],
  existing: readonly AlertPolicy[],
  monitor: string,
): { readonly steps: PolicyStep[]; readonly problems: string[]; readonly notes: string[] } {
  const own = existing.filter(({ userLabels }) => userLabels[ownerLabel] === monitor)
  const groups = Map.groupBy(own, keyOf)
  const wantedKeys = new Set(wanted.map(keyOf))
  return {
    steps: [
      ...wanted.flatMap(policy => planPolicy(policy, oldestFirst(groups.get(keyOf(policy)) ?? []))),
      ...own.filter(policy => !wantedKeys.has(keyOf(policy))).map(policy => remove(policy, 'not wanted any more')),
    ],
    problems: wanted.flatMap(policy => disabled(oldestFirst(groups.get(keyOf(policy)) ?? [])[0])),
    notes: wanted.flatMap(({ displayName }) => namesakes(displayName, existing, own)),
  }
}

function planPolicy(wanted: WantedPolicy, [first, ...duplicates]: readonly AlertPolicy[]): PolicyStep[] {
  const removals = duplicates.map(policy => remove(policy, 'a duplicate'))
  if (first === undefined) {
    const { severity, conditions, notificationChannels } = wanted
    const told = notificationChannels.length > 0 ? notificationChannels.join(', ') : 'nobody: name notificationChannels'
    const details = [`severity ${severity}`, ...conditions.map(({ filter }) => filter), `tells ${told}`]
    return [{ kind: 'create-policy', title: `create the policy "${wanted.displayName}"`, details, policy: wanted }]
  }
  const policy = settled(wanted, first)
  const { details, changed } = changes(policy, first)
  if (details.length === 0) return removals
  const title = `change the policy "${first.displayName}" (${first.name})`
  return [{ kind: 'update-policy', title, details, policy: { ...policy, name: first.name, changed } }, ...removals]
}

/**
 * What is wanted of a policy that is there. What others decide stays: whether it is enabled, labels of their own, and who
 * is told where the config names nobody.
 */
function settled(wanted: WantedPolicy, there: AlertPolicy): WantedPolicy {
  const named = wanted.notificationChannels.length > 0
  return {
    ...wanted,
    enabled: there.enabled,
    userLabels: { ...there.userLabels, ...wanted.userLabels },
    notificationChannels: named ? wanted.notificationChannels : there.notificationChannels,
    conditions: withNames(wanted.conditions, there.conditions),
  }
}

function disabled(policy: AlertPolicy | undefined): string[] {
  if (policy === undefined || policy.enabled) return []
  return [`the policy "${policy.displayName}" (${policy.name}) is disabled, and pages nobody: enable it, or snooze it`]
}

function remove({ name, displayName }: AlertPolicy, why: string): PolicyStep {
  return { kind: 'delete-policy', title: `delete the policy "${displayName}" (${name}): ${why}`, details: [], name }
}

/** What tells a monitor's policies apart. */
function keyOf({ userLabels }: Pick<WantedPolicy, 'userLabels'>): string {
  return `${userLabels[kindLabel]}/${userLabels[routeLabel]}`
}

/** Instances that race agree on the one that stays. */
function oldestFirst(policies: readonly AlertPolicy[]): AlertPolicy[] {
  return policies.toSorted((one, other) => one.createdAt - other.createdAt || (one.name < other.name ? -1 : 1))
}

/** A condition keeps the name of the one that it takes the place of: a new name would lose its open incidents. */
function withNames(wanted: readonly PolicyCondition[], existing: readonly NamedCondition[]) {
  const free = [...existing]
  const claim = (fits: (condition: NamedCondition) => boolean) => {
    const at = free.findIndex(fits)
    return at < 0 ? undefined : free.splice(at, 1)[0]?.name
  }
  const byTitle = wanted.map(condition => claim(({ displayName }) => displayName === condition.displayName))
  return wanted.map((condition, index) => {
    const name = byTitle[index] ?? claim(({ kind }) => kind === condition.kind)
    return name === undefined ? condition : { ...condition, name }
  })
}

/** Somebody's policy may have the same name: it stays as it is. */
function namesakes(displayName: string, existing: readonly AlertPolicy[], own: readonly AlertPolicy[]): string[] {
  return existing
    .filter(policy => policy.displayName === displayName && !own.includes(policy))
    .map(({ name }) => `${name} has the name "${displayName}" and not Driftwatch's labels: it is left alone`)
}

/** What it takes to make the uptime check right. */
export function planUptimeCheck(
  wanted: WantedUptimeCheck | null,
  existing: readonly UptimeCheck[],
  monitor: string,
): PolicyStep[] {
  const [first, ...more] = existing.filter(({ userLabels }) => userLabels[ownerLabel] === monitor)
  const removals = (wanted ? more : [first, ...more].filter(check => check !== undefined)).map(
    ({ name, displayName }): PolicyStep => ({
      kind: 'delete-uptime-check',
      title: `delete the uptime check "${displayName}" (${name})`,
      details: [],
      name,
    }),
  )
  if (!wanted) return removals
  if (!first) {
    const details = [`https://${wanted.host}${wanted.path} with an OIDC token, every ${wanted.periodMs / 1000} s`]
    const title = `create the uptime check "${wanted.displayName}"`
    return [{ kind: 'create-uptime-check', title, details, check: wanted }]
  }
  // An uptime check never moves to another host.
  if (first.host !== wanted.host || first.project !== wanted.project) {
    return [...planUptimeCheck(null, existing, monitor), ...planUptimeCheck(wanted, [], monitor)]
  }
  const wish = { ...wanted, userLabels: { ...first.userLabels, ...wanted.userLabels } }
  const { details, changed } = changes(wish, first)
  const check = { ...wish, name: first.name, changed }
  const title = `change the uptime check "${first.displayName}" (${first.name})`
  return [...(details.length > 0 ? [{ kind: 'update-uptime-check', title, details, check } as const] : []), ...removals]
}

/** What is to be changed, for a reader and for the request. */
function changes<T extends object>(wanted: T, actual: T): { details: string[]; changed: (keyof T)[] } {
  const found = (Object.keys(wanted) as (keyof T & string)[]).map(key => ({
    key,
    details: differences(wanted[key], actual[key], key),
  }))
  const differing = found.filter(({ details }) => details.length > 0)
  return { details: differing.flatMap(({ details }) => details), changed: differing.map(({ key }) => key) }
}

/** `path: is, and must be`, for whatever is wanted; what the vendor adds is left alone. */
function differences(wanted: unknown, actual: unknown, path = ''): string[] {
  if (typeof wanted !== 'object' || wanted === null) {
    if (wanted === actual) return []
    const start = typeof wanted === 'string' && typeof actual === 'string' ? startOfDifference(wanted, actual) : 0
    return [`${path}: ${show(actual, start)} becomes ${show(wanted, start)}`]
  }
  const theirs = (typeof actual === 'object' && actual !== null ? actual : {}) as Readonly<Record<string, unknown>>
  const shorter = Array.isArray(wanted) && Array.isArray(actual) && wanted.length < actual.length
  return [
    ...(shorter ? [`${path}: ${show(actual)} becomes ${show(wanted)}`] : []),
    ...(shorter ? [] : Object.entries(wanted)).flatMap(([key, value]) =>
      differences(value, theirs[key], path === '' ? key : `${path}.${key}`),
    ),
  ]
}

/** Where two texts are worth reading: shortly before they part. */
function startOfDifference(one: string, other: string): number {
  const same = one.split('').findIndex((letter, index) => letter !== other[index])
  return Math.max(0, (same < 0 ? one.length : same) - 20)
}

function show(value: unknown, start = 0): string {
  const shown = typeof value === 'string' && start > 0 ? `...${value.slice(start)}` : value
  const text = JSON.stringify(shown) ?? 'nothing'
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}
